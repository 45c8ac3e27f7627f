package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/throng-gg/throng"
)

const (
	callTime   = 5 * time.Second // of a small request, with its repetitions
	bytesTime  = 5 * time.Minute // of a package
	maxSmall   = 16 << 20        // bytes of a record; 10,000 versions have about 8 MB
	stampField = "throng-stamp"
)

// bucket is a region's bucket, from a prefix on.
type bucket struct {
	name    string // as people know it: s3://bucket/prefix
	bucket  string
	prefix  string // empty, or with a slash at its end
	client  *awss3.Client
	metrics *metrics
}

// object is what is stored under a key.
type object struct {
	content []byte
	tag     string // of this content, for conditions
	stamp   string // of the put that wrote it
}

// errSame says that an object is the one that is known.
var errSame = errors.New("it is the same")

// get reads a small object. errSame: its tag is the known one. NotFound: there
// is none.
func (b *bucket) get(ctx context.Context, key, known string) (object, error) {
	return b.read(ctx, key, known, maxSmall)
}

// read is get of an object of at most so many bytes.
func (b *bucket) read(ctx context.Context, key, known string, most int64) (o object, err error) {
	defer b.metrics.done("get", time.Now(), &err)
	limit := callTime
	if most > maxSmall {
		limit = bytesTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	in := &awss3.GetObjectInput{Bucket: &b.bucket, Key: aws.String(b.prefix + key)}
	if known != "" {
		in.IfNoneMatch = &known
	}
	out, err := b.client.GetObject(ctx, in)
	if err != nil {
		return object{}, b.fault("read", key, err)
	}
	defer func() { _ = out.Body.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(out.Body, most+1))
	if err != nil {
		return object{}, b.fault("read", key, err)
	}
	if int64(len(content)) > most {
		return object{}, throng.Errorf(throng.Internal, "%s: %s has more than %d bytes", b.name, key, most)
	}
	return object{content: content, tag: aws.ToString(out.ETag), stamp: out.Metadata[stampField]}, nil
}

// open reads a large object as it comes. NotFound: there is none.
func (b *bucket) open(ctx context.Context, key string) (body io.ReadCloser, length int64, err error) {
	defer b.metrics.done("open", time.Now(), &err)
	out, err := b.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b.bucket, Key: aws.String(b.prefix + key)})
	if err != nil {
		return nil, 0, b.fault("read", key, err)
	}
	return out.Body, aws.ToInt64(out.ContentLength), nil
}

// condition is when a put counts.
type condition struct {
	absent bool   // there is no object
	tag    string // the object has this tag; empty: any
}

// put writes an object, durable when it returned nil, and returns its tag.
// Conflict: the condition did not hold. A put whose answer was lost is found by
// its stamp.
func (b *bucket) put(ctx context.Context, key string, content []byte, when condition) (tag string, err error) {
	defer b.metrics.done("put", time.Now(), &err)
	limit := callTime
	if len(content) > maxSmall/16 {
		limit = bytesTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	sum, stamp := sha256.Sum256(content), rand.Text()
	in := &awss3.PutObjectInput{
		Bucket: &b.bucket, Key: aws.String(b.prefix + key), Body: bytes.NewReader(content),
		ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum[:])),
		Metadata:       map[string]string{stampField: stamp},
	}
	if when.absent {
		in.IfNoneMatch = aws.String("*")
	}
	if when.tag != "" {
		in.IfMatch = &when.tag
	}
	out, failed := b.client.PutObject(ctx, in)
	if failed == nil {
		return aws.ToString(out.ETag), nil
	}
	err = b.fault("write", key, failed)
	if when == (condition{}) || limit == bytesTime {
		return "", err
	}
	// An answer may have been lost, and the put been repeated.
	if is, readErr := b.get(ctx, key, ""); readErr == nil && is.stamp == stamp {
		return is.tag, nil
	}
	return "", err
}

// drop deletes an object; none is no error.
func (b *bucket) drop(ctx context.Context, key string) (err error) {
	defer b.metrics.done("drop", time.Now(), &err)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err = b.client.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &b.bucket, Key: aws.String(b.prefix + key)})
	if err = b.fault("delete", key, err); throng.KindOf(err) == throng.NotFound {
		return nil
	}
	return err
}

// listed is one object of a folder.
type listed struct{ name, tag string }

// list returns the names in a folder, sorted by bytes, up to most. Internal:
// there are more.
func (b *bucket) list(ctx context.Context, folder string, most int) (names []listed, err error) {
	defer b.metrics.done("list", time.Now(), &err)
	ctx, cancel := context.WithTimeout(ctx, bytesTime)
	defer cancel()
	in := &awss3.ListObjectsV2Input{Bucket: &b.bucket, Prefix: aws.String(b.prefix + folder)}
	skip := len(b.prefix) + len(folder)
	for {
		out, err := b.client.ListObjectsV2(ctx, in)
		if err != nil {
			return nil, b.fault("list", folder, err)
		}
		for _, o := range out.Contents {
			names = append(names, listed{aws.ToString(o.Key)[skip:], aws.ToString(o.ETag)})
		}
		if len(names) > most {
			return nil, throng.Errorf(throng.Internal, "%s: %s has more than %d objects", b.name, folder, most)
		}
		if !aws.ToBool(out.IsTruncated) {
			return names, nil
		}
		in.ContinuationToken = out.NextContinuationToken
	}
}

// fault gives an error of the store its kind and says where it came from.
func (b *bucket) fault(what, key string, err error) error {
	if err == nil {
		return nil
	}
	status := 0
	if r, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		status = r.HTTPStatusCode()
	}
	code := ""
	if c, ok := errors.AsType[smithy.APIError](err); ok {
		code = c.ErrorCode()
	}
	switch {
	case status == http.StatusNotModified:
		return errSame
	case code == "NoSuchBucket":
		return throng.Errorf(throng.Internal, "%s: there is no bucket %s", b.name, b.bucket)
	case status == http.StatusNotFound:
		return throng.Errorf(throng.NotFound, "%s: there is no %s", b.name, key)
	case status == http.StatusPreconditionFailed, code == "ConditionalRequestConflict":
		return throng.Errorf(throng.Conflict, "%s: %s moved on", b.name, key)
	case status >= 400 && status < 500 && status != http.StatusTooManyRequests && code != "RequestTimeout":
		return throng.Errorf(throng.Internal, "%s: %s %s: %w", b.name, what, key, plain(err))
	}
	return throng.RetryLater(throng.Unavailable, time.Second, "%s: %s %s: %w", b.name, what, key, plain(err))
}

// plain takes request numbers and the like out of the library's error.
func plain(err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return fmt.Errorf("%s: %s", api.ErrorCode(), api.ErrorMessage())
	}
	if op, ok := errors.AsType[*smithy.OperationError](err); ok {
		return op.Err
	}
	return err
}
