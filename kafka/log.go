package kafka

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/throng-gg/throng"
)

const (
	defaultPrefix = "throng"
	dialTime      = 3 * time.Second
	mostList      = 5_000  // events of one call of Publish
	batchHead     = 61     // bytes of a batch beside its records
	mostRecords   = 50_000 // on their way, of all callers; full: Publish waits
)

// Config is what a Log is made of.
type Config struct {
	// URL says where: "host:9092,host:9092", or kafka://host:9092,host:9092/PREFIX,
	// kafkas:// for TLS, with user:password@ for SCRAM-SHA-512, and ?ca=FILE behind it
	// for who signed the certificates, if the system does not know. PREFIX begins the
	// topics' names; default "throng".
	URL     string
	Client  string // what brokers are told of who asks; default "throng"
	Logger  *slog.Logger
	Metrics prometheus.Registerer // nil: not registered
}

// Log is a region's streams, as one process reaches them. It connects when it is
// first used.
type Log struct {
	prefix  string
	options []kgo.Opt
	logger  *slog.Logger
	metrics *metrics

	mu     sync.Mutex
	client *kgo.Client     // guarded by mu; nil: not made yet
	topics map[string]bool // guarded by mu: those that were seen at brokers
	closed bool            // guarded by mu
	left   int             // guarded by mu: records on their way whose caller did not wait for them
	none   chan struct{}   // guarded by mu: closed when left is 0 again; nil: it is
}

// New makes a Log. Invalid: its URL.
func New(cfg Config) (*Log, error) {
	if cfg.Logger == nil {
		return nil, throng.Errorf(throng.Invalid, "kafka: a needed part of its configuration is missing")
	}
	prefix, options, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	return &Log{prefix: prefix, logger: cfg.Logger, metrics: m, topics: map[string]bool{}, options: append(options,
		kgo.ClientID(cmp.Or(cfg.Client, "throng")), kgo.DialTimeout(dialTime), kgo.MetadataMinAge(time.Second), kgo.DisableClientMetrics(),
	)}, nil
}

// CheckURL says what is wrong with a Config's URL.
func CheckURL(text string) error {
	_, _, err := parseURL(text)
	return err
}

func parseURL(text string) (prefix string, options []kgo.Opt, err error) {
	whole := text
	if !strings.Contains(text, "://") {
		whole = "kafka://" + text
	}
	scheme, rest, _ := strings.Cut(whole, "://")
	user, brokers := "", rest
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		user, brokers = rest[:at], rest[at+1:]
	}
	brokers, query, _ := strings.Cut(brokers, "?")
	brokers, prefix, _ = strings.Cut(brokers, "/")
	if prefix == "" {
		prefix = defaultPrefix
	}
	wrong := func(why string) error {
		return throng.AtField(throng.Invalid, "--kafka", "%s; it is like host:9092,host:9092 or kafkas://user:password@host:9092/throng", why)
	}
	switch {
	case scheme != "kafka" && scheme != "kafkas":
		return "", nil, wrong(fmt.Sprintf("%.20q is not known", scheme+"://"))
	case len(prefix) > 60 || strings.Trim(prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "":
		return "", nil, wrong(fmt.Sprintf("%.80q is no prefix for topics: letters, digits and - are allowed", prefix))
	}
	seeds := strings.Split(brokers, ",")
	for _, seed := range seeds {
		if u, err := url.Parse("x://" + seed); err != nil || u.Hostname() == "" || u.Port() == "" || u.Host != seed {
			return "", nil, wrong(fmt.Sprintf("%.80q is no host:port", seed))
		}
	}
	options = append(options, kgo.SeedBrokers(seeds...))
	roots, err := rootsOf(query)
	switch {
	case err != nil:
		return "", nil, wrong(err.Error())
	case scheme == "kafkas":
		options = append(options, kgo.DialTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}))
	case roots != nil:
		return "", nil, wrong("ca is for kafkas://")
	}
	if user != "" {
		u, err := url.Parse("x://" + user + "@x")
		if err != nil {
			return "", nil, wrong("the user and password cannot be read")
		}
		password, _ := u.User.Password()
		options = append(options, kgo.SASL(scram.Auth{User: u.User.Username(), Pass: password}.AsSha512Mechanism()))
	}
	return prefix, options, nil
}

// rootsOf reads who may sign the brokers' certificates: ca=FILE (PEM). Without
// it, nil: who the system trusts.
func rootsOf(query string) (*x509.CertPool, error) {
	if query == "" {
		return nil, nil //nolint:nilnil // none is named
	}
	name, isCA := strings.CutPrefix(query, "ca=")
	if !isCA || name == "" {
		return nil, fmt.Errorf("%.80q is not known, ca=FILE is", "?"+query)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("ca: %s has no certificate (PEM)", name)
	}
	return roots, nil
}

// topic is a stream's.
func (l *Log) topic(s throng.Stream) string { return l.prefix + "." + string(s) }

// stream is a topic's.
func (l *Log) stream(topic string) throng.Stream {
	return throng.Stream(strings.TrimPrefix(topic, l.prefix+"."))
}

// connect returns the client that publishes and asks.
func (l *Log) connect() (*kgo.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, throng.Errorf(throng.Unavailable, "the log is closed")
	}
	if l.client != nil {
		return l.client, nil
	}
	client, err := kgo.NewClient(append(l.options,
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(partitioner()),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()),
		kgo.MaxBufferedRecords(mostRecords),
		// A broker that restarts says for a while that it has no such topic. Giving up
		// then would fail one batch and not those behind it: needTopics asks before.
		kgo.UnknownTopicRetries(-1),
		kgo.ProducerLinger(2*time.Millisecond),
		kgo.WithHooks(written{l}),
	)...)
	if err != nil {
		return nil, throng.Errorf(throng.Invalid, "kafka: %w", err)
	}
	l.client = client
	return client, nil
}

// written counts the bytes of what is sent to brokers.
type written struct{ log *Log }

// OnProduceBatchWritten hears of a batch that was.
func (w written) OnProduceBatchWritten(_ kgo.BrokerMetadata, topic string, _ int32, m kgo.ProduceBatchMetrics) {
	w.log.metrics.bytes.WithLabelValues(string(w.log.stream(topic))).Add(float64(m.CompressedBytes + batchHead))
}

// Close ends its connections. What is being published fails.
func (l *Log) Close() {
	l.mu.Lock()
	client := l.client
	l.client, l.closed = nil, true
	l.mu.Unlock()
	if client != nil {
		client.Close()
	}
}

// Publish writes events, those of a key in their order. Nil: brokers have all of
// them. Unavailable: it is not known which; the same again keeps the order, and
// those that got through stand there twice. Invalid: one of them can never be
// written.
func (l *Log) Publish(ctx context.Context, list []throng.Event) error {
	if len(list) > mostList {
		return throng.Errorf(throng.Invalid, "publish: %d events at once, at most %d are allowed", len(list), mostList)
	}
	records := make([]*kgo.Record, len(list))
	for i, e := range list {
		if err := e.Check(); err != nil {
			return fmt.Errorf("event %s: %w", e.ID, err)
		}
		records[i] = recordOf(l.topic(e.Stream), e)
	}
	if err := l.produce(ctx, records); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	for _, e := range list {
		l.metrics.published.WithLabelValues(string(e.Stream)).Inc()
	}
	return nil
}

func (l *Log) produce(ctx context.Context, records []*kgo.Record) error {
	client, err := l.connect()
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := l.awaitLeft(ctx); err != nil {
		l.metrics.failures.Inc()
		return err
	}
	if err := l.needTopics(ctx, client, records); err != nil {
		l.metrics.failures.Inc()
		return err
	}
	// A record that was on its way and is taken back leaves those behind it in front
	// of it, when it comes again. So none is: a caller only stops waiting.
	results := make(chan error, len(records))
	for _, r := range records {
		client.Produce(context.WithoutCancel(ctx), r, func(r *kgo.Record, err error) {
			if err != nil {
				err = l.failure(r.Topic, err)
			}
			results <- err
		})
	}
	for waiting := len(records); waiting > 0; waiting-- {
		select {
		case got := <-results:
			if err == nil {
				err = got
			}
		case <-ctx.Done():
			l.leave(waiting, results)
			l.metrics.failures.Inc()
			return throng.Errorf(throng.Unavailable, "%d of %d events are still on their way: %w", waiting, len(records), ctx.Err())
		}
	}
	if err != nil {
		l.metrics.failures.Inc()
		return err
	}
	l.metrics.seconds.Observe(time.Since(begun).Seconds())
	return nil
}

// needTopics fails if brokers do not have the records' topics. Each is asked for until
// it was there once.
func (l *Log) needTopics(ctx context.Context, client *kgo.Client, records []*kgo.Record) error {
	var unseen []string
	l.mu.Lock()
	for _, r := range records {
		if !l.topics[r.Topic] && !slices.Contains(unseen, r.Topic) {
			unseen = append(unseen, r.Topic)
		}
	}
	l.mu.Unlock()
	if len(unseen) == 0 {
		return nil
	}
	found, err := kadm.NewClient(client).ListTopics(ctx, unseen...)
	if err != nil {
		return throng.Errorf(throng.Unavailable, "ask for topics: %w", err)
	}
	for _, topic := range unseen {
		switch d, ok := found[topic]; {
		case !ok:
			return l.failure(topic, kerr.UnknownTopicOrPartition)
		case d.Err != nil:
			return l.failure(topic, d.Err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, topic := range unseen {
		l.topics[topic] = true
	}
	return nil
}

// awaitLeft waits until brokers have what earlier callers did not wait for, which
// bounds what is on its way.
func (l *Log) awaitLeft(ctx context.Context) error {
	l.mu.Lock()
	none := l.none
	l.mu.Unlock()
	if none == nil {
		return nil
	}
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		return throng.Errorf(throng.Unavailable, "earlier events are still on their way: %w", ctx.Err())
	}
}

// leave lets so many records arrive without their caller.
func (l *Log) leave(waiting int, results <-chan error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left += waiting; l.none == nil {
		l.none = make(chan struct{})
	}
	go func() {
		for range waiting { // each one comes, at the latest when the client is closed
			if err := <-results; err != nil {
				l.metrics.failures.Inc()
			}
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.left -= waiting; l.left == 0 {
			close(l.none)
			l.none = nil
		}
	}()
}

// failure is an error of brokers in our words.
func (l *Log) failure(topic string, err error) error {
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return throng.Errorf(throng.Unavailable, "there is no topic %s: throng setup kafka makes it", topic)
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge), errors.Is(err, kerr.InvalidRecord):
		return throng.Errorf(throng.Invalid, "%s does not take it: %w", topic, err)
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.SaslAuthenticationFailed):
		return throng.Errorf(throng.Unavailable, "%s: %w: look at the user's rights", topic, err)
	}
	return throng.Errorf(throng.Unavailable, "%s: %w", topic, err)
}
