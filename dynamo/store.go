package dynamo

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"github.com/throng-gg/throng"
)

// Config is what a Store is made of.
type Config struct {
	// URL is dynamodb://REGION/PREFIX, with the credentials that the machine has,
	// or http://HOST:PORT/PREFIX of a DynamoDB Local.
	URL string
	// HTTP sends requests; nil: the SDK's own. Tests put faults into it.
	HTTP aws.HTTPClient
	// Budget is how long one operation is tried; 6 s.
	Budget time.Duration
	// Try is how long one request may take; 2 s.
	Try time.Duration
}

// Store is the tables. It serves profile.Store, ledger.Store, ledger.Catalogs,
// ledger.Books and consumer.Store.
type Store struct {
	client                             *dynamodb.Client
	budget, try                        time.Duration
	profiles, economy, catalog, shards string
	stream                             *dynamodbstreams.Client // reads economy's stream
	codec                              codec                   // of shards
}

var prefixes = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,200}$`)

// New connects; it asks for nothing yet. Invalid: the URL.
func New(ctx context.Context, cfg Config) (*Store, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, throng.Errorf(throng.Invalid, "%q is no URL", cfg.URL)
	}
	prefix := strings.Trim(u.Path, "/")
	if u.Host == "" || !prefixes.MatchString(prefix) || u.Scheme != "dynamodb" && u.Scheme != "http" && u.Scheme != "https" {
		return nil, throng.Errorf(throng.Invalid, "%q is not like dynamodb://eu-west-1/throng, or http://127.0.0.1:8000/throng for DynamoDB Local", cfg.URL)
	}
	options := []func(*config.LoadOptions) error{config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} })}
	if u.Scheme == "dynamodb" {
		options = append(options, config.WithRegion(u.Host))
	} else {
		options = append(options, config.WithRegion("local"), config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("local", "local", "")))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, throng.Errorf(throng.Unavailable, "credentials of AWS: %w", err)
	}
	client := dynamodb.NewFromConfig(loaded, func(o *dynamodb.Options) {
		if cfg.HTTP != nil {
			o.HTTPClient = cfg.HTTP
		}
		if u.Scheme != "dynamodb" {
			o.BaseEndpoint = aws.String(u.Scheme + "://" + u.Host)
			o.DisableValidateResponseChecksum = true // its sums of compressed answers are others
		}
	})
	stream := dynamodbstreams.NewFromConfig(loaded, func(o *dynamodbstreams.Options) {
		if u.Scheme != "dynamodb" {
			o.BaseEndpoint = aws.String(u.Scheme + "://" + u.Host)
		}
	})
	codec, err := newCodec()
	if err != nil {
		return nil, err
	}
	s := &Store{
		client: client, stream: stream, budget: cfg.Budget, try: cfg.Try, codec: codec,
		profiles: prefix + "-profiles", economy: prefix + "-economy", catalog: prefix + "-catalog", shards: prefix + "-shards",
	}
	if s.budget <= 0 {
		s.budget = 6 * time.Second
	}
	if s.try <= 0 {
		s.try = 2 * time.Second
	}
	return s, nil
}
