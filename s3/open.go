package s3

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// Config says where places are kept.
type Config struct {
	// URL is this region's bucket: s3://BUCKET/PREFIX, with ?region=, ?endpoint=
	// (of an S3 that is not AWS) and ?path_style=true or false where the usual ways
	// of AWS (environment, ~/.aws, the machine's role) do not say it. Credentials
	// come by these ways only.
	URL string
	// Regions are the buckets of all regions, this one's too, the same list in the
	// same order in each region; the first one is home. Empty: there is one region.
	Regions []string
	// Fresh is how old what is known of a record's changes may be, and how long a
	// change takes therefore; the same for all who use the buckets. Default 1 s.
	Fresh   time.Duration
	Logger  *slog.Logger          // nil: nothing is logged
	Metrics prometheus.Registerer // nil: not registered
}

// Open connects to the buckets. It asks this region's own for one object, so
// that what is wrong with it is known at the start. Invalid: a URL. Internal:
// there is no such bucket, or it may not be read. Unavailable: it is away.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	s := &Store{fresh: cfg.Fresh, logger: cfg.Logger, metrics: m, known: map[throng.PlaceID]*known{}, fetching: map[throng.PackageHash]*fetch{}}
	if s.fresh <= 0 {
		s.fresh = time.Second
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.own, err = newBucket(ctx, cfg.URL, m); err != nil {
		return nil, err
	}
	s.home = s.own
	found := len(cfg.Regions) == 0
	for i, u := range cfg.Regions {
		b, err := newBucket(ctx, u, m)
		if err != nil {
			return nil, err
		}
		if b.name == s.own.name {
			found, b = true, s.own
		} else {
			s.others = append(s.others, b)
		}
		if i == 0 {
			s.home = b
		}
	}
	if !found {
		return nil, throng.Errorf(throng.Invalid, "%s is not among the buckets of all regions", s.own.name)
	}
	for i := range s.bells {
		s.bells[i].turn = make(chan struct{}, 1)
	}
	if _, err := s.own.get(ctx, bellKey(0), ""); err != nil && throng.KindOf(err) != throng.NotFound {
		return nil, err
	}
	return s, nil
}

// address is what a bucket's URL says.
type address struct {
	bucket, prefix   string
	region, endpoint string // empty: not said
	pathStyle        bool
}

// parseURL reads a bucket's URL.
func parseURL(raw string) (a address, err error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return a, throng.Errorf(throng.Invalid, "%q is not a URL like s3://bucket/prefix", raw)
	}
	query := u.Query()
	for name := range query {
		if name != "region" && name != "endpoint" && name != "path_style" {
			return a, throng.Errorf(throng.Invalid, "%s: %q is none of region, endpoint, path_style", raw, name)
		}
	}
	a = address{bucket: u.Host, region: query.Get("region"), endpoint: query.Get("endpoint")}
	if prefix := strings.Trim(u.Path, "/"); prefix != "" {
		a.prefix = prefix + "/"
	}
	if a.endpoint != "" {
		if e, err := url.Parse(a.endpoint); err != nil || e.Host == "" || e.Scheme != "http" && e.Scheme != "https" {
			return a, throng.Errorf(throng.Invalid, "%s: endpoint %q is not a URL like https://host:port", raw, a.endpoint)
		}
		a.pathStyle = true // most that are not AWS want it
	}
	if said := query.Get("path_style"); said != "" {
		if a.pathStyle, err = strconv.ParseBool(said); err != nil {
			return a, throng.Errorf(throng.Invalid, "%s: path_style must be true or false, is %q", raw, said)
		}
	}
	return a, nil
}

// newBucket connects to the bucket of a URL. It sends nothing.
func newBucket(ctx context.Context, raw string, m *metrics) (*bucket, error) {
	a, err := parseURL(raw)
	if err != nil {
		return nil, err
	}
	b := &bucket{name: "s3://" + a.bucket, bucket: a.bucket, prefix: a.prefix, metrics: m}
	if a.prefix != "" {
		b.name += "/" + strings.TrimSuffix(a.prefix, "/")
	}
	if a.endpoint != "" {
		b.name += " at " + a.endpoint
	}
	options := []func(*config.LoadOptions) error{config.WithHTTPClient(httpClient()), config.WithRetryer(newRetryer)}
	if a.region != "" {
		options = append(options, config.WithRegion(a.region))
	}
	shared, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.name, err)
	}
	if shared.Region == "" {
		if a.endpoint == "" && shared.BaseEndpoint == nil {
			return nil, throng.Errorf(throng.Invalid, "%s: no region is said: ?region=, or AWS_REGION", b.name)
		}
		shared.Region = "us-east-1" // to sign with; those that are not AWS take it
	}
	b.client = awss3.NewFromConfig(shared, func(o *awss3.Options) {
		o.UsePathStyle = a.pathStyle
		if a.endpoint != "" {
			o.BaseEndpoint = &a.endpoint
		}
		// Not all know the newer checksums. What we write has its SHA-256, what we
		// read is checked by its own name, or is one small text.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
	return b, nil
}

func newRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = 3, 500*time.Millisecond
	})
}

// httpClient gives up on a store that does not answer.
func httpClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = time.Second }).
		WithTransportOptions(func(t *http.Transport) {
			t.ResponseHeaderTimeout = 20 * time.Second
			t.MaxIdleConnsPerHost = 64
		})
}
