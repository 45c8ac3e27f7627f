package dynamo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/dynamo"
	"github.com/throng-gg/throng/dynamo/dynamotest"
)

// tables opens empty tables of their own on a server.
func tables(t *testing.T, url, prefix string, change func(*dynamo.Config)) *dynamo.Store {
	t.Helper()
	cfg := dynamo.Config{URL: url + "/" + prefix, Budget: time.Minute, Try: 20 * time.Second}
	if change != nil {
		change(&cfg)
	}
	s, err := dynamo.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Setup(t.Context(), dynamo.Capacity{}, dynamo.Capacity{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestShards: the contract, and what crashes do, on one server.
func TestShards(t *testing.T) {
	t.Parallel()
	url := dynamotest.Start(t)
	t.Run("contract", func(t *testing.T) {
		contract.ConsumerStore(t, func(t *testing.T) consumer.Store {
			t.Helper()
			return tables(t, url, fmt.Sprint("case", games.Add(1)), nil).Shards()
		})
	})
	t.Run("consumers crash", func(t *testing.T) {
		events := 10_000
		if times, _ := strconv.Atoi(os.Getenv("THRONG_SOAK")); times > 0 { //nolint:forbidigo // a test's own
			events = 100_000 * times
		}
		network := &flaky{rng: rand.New(rand.NewPCG(1, 1))} //nolint:gosec // a seed
		clean, store := tables(t, url, "clean", nil), tables(t, url, "faulty", func(c *dynamo.Config) { c.HTTP = network })
		network.mu.Lock()
		network.share = 20
		network.mu.Unlock()
		if err := contract.ConsumerCrash(t, contract.ConsumerPlay{
			Events: contract.ConsumerJoins(events), New: contract.NewJoins, Clean: clean.Shards(), Store: store.Shards(), Seed: 1, Window: 1000,
		}); err != nil {
			t.Error(err)
		}
	})
	t.Run("a crash between any two requests", func(t *testing.T) { crashBetween(t, url) })
	t.Run("two at the same time", func(t *testing.T) { commitTogether(t, url) })
}

// mortal is the network of a process that dies.
type mortal struct {
	mu     sync.Mutex
	left   int                // requests until then; guarded by mu
	answer bool               // the last one is done, and not answered
	die    context.CancelFunc // of the process; nil: it does not
}

// Do sends a request, as long as the process lives.
func (m *mortal) Do(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.die != nil {
		if m.left--; m.left < 0 {
			m.die()
			return nil, errors.New("the process died before it was sent")
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err == nil && m.die != nil && m.left == 0 && m.answer {
		resp.Body.Close()
		m.die()
		return nil, errors.New("the process died before the answer")
	}
	return resp, err
}

var crashed = consumer.Shard{Group: "count", Stream: throng.StreamPlay, Partition: 3}

// crashCommit is the nth commit of a shard: some rows that change, one that goes and
// comes, and one that needs several items.
func crashCommit(n uint64) consumer.Commit {
	c := consumer.Commit{
		Mark: consumer.Mark{Number: n, Floor: int64(n), Next: int64(n) + 9}, Page: consumer.Page{Number: n, Floor: int64(n), IDs: []uint64{n}},
		Rows: []consumer.Row{{Key: "last", Value: []byte(fmt.Sprint(n))}, {Key: fmt.Sprint("own/", n), Value: []byte("x")}, {Key: "comes"}},
	}
	if n%2 == 0 {
		c.Rows[2].Value = []byte("and goes")
	}
	if n == 8 { // with which all before it are written together
		big := make([]byte, 800<<10)
		rng := rand.NewChaCha8([32]byte{1})
		_, _ = rng.Read(big)
		c.Rows = append(c.Rows, consumer.Row{Key: "big", Value: big})
	}
	if n > 4 {
		c.Forget = []uint64{n - 4}
	}
	return c
}

// want checks that a shard is as its first n commits made it.
func wantCommits(t *testing.T, s consumer.Store, n uint64) {
	t.Helper()
	rows := map[string][]byte{}
	m, pages, err := s.Load(t.Context(), crashed, func(r consumer.Row) error {
		rows[r.Key] = r.Value
		return nil
	})
	if err != nil {
		t.Fatalf("after commit %d: %v", n, err)
	}
	want := map[string][]byte{}
	var last []uint64
	for i := uint64(1); i <= n; i++ {
		for _, r := range crashCommit(i).Rows {
			if want[r.Key] = r.Value; r.Value == nil {
				delete(want, r.Key)
			}
		}
		last = append(last, i)
	}
	last = last[max(len(last)-4, 0):]
	if m != crashCommit(n).Mark && n > 0 || n == 0 && m != (consumer.Mark{}) {
		t.Errorf("after commit %d: mark %+v", n, m)
	}
	if len(rows) != len(want) || len(pages) != len(last) {
		t.Errorf("after commit %d: %d rows, %d pages, want %d, %d", n, len(rows), len(pages), len(want), len(last))
	}
	for k, v := range want {
		if !bytes.Equal(rows[k], v) {
			t.Errorf("after commit %d: row %q is %.40q, want %.40q", n, k, rows[k], v)
		}
	}
	for i, p := range pages {
		if p.Number != last[i] || len(p.IDs) != 1 || p.IDs[0] != last[i] || p.Floor != int64(last[i]) {
			t.Errorf("after commit %d: page %+v, want %d", n, p, last[i])
		}
	}
}

// crashBetween makes commits by processes that die: each after one request more than
// the one before, until one lives to the end of its commit. Whatever was written, all
// of the commit is there or nothing is, and of what a crash left nothing stays.
func crashBetween(t *testing.T, url string) {
	t.Helper()
	healthy := tables(t, url, "crash", nil).Shards()
	deaths := 0
	for n := uint64(1); n <= 10; n++ {
		if n > 2 && n < 8 { // as the second one is
			if err := healthy.Commit(t.Context(), crashed, crashCommit(n)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		done := false
		for request := 0; !done; request++ {
			ctx, die := context.WithCancel(t.Context())
			network := &mortal{left: request / 2, answer: request%2 == 1, die: die}
			s, err := dynamo.New(t.Context(), dynamo.Config{URL: url + "/crash", HTTP: network, Budget: time.Minute, Try: 20 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			err = s.Shards().Commit(ctx, crashed, crashCommit(n))
			dead := ctx.Err() != nil
			die()
			switch {
			case err == nil && !dead:
				done = true
			case err == nil: // while it deleted what is over
				deaths++
				done = true
			case !dead || throng.KindOf(err) == throng.Conflict:
				t.Fatalf("commit %d, request %d: %v", n, request, err)
			default:
				deaths++
			}
			m, _, err := healthy.Load(t.Context(), crashed, func(consumer.Row) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			done = done || m.Number == n
			if m.Number != n && (done || m.Number != n-1) {
				t.Fatalf("the last commit is %d, want %d or the one before", m.Number, n)
			}
			if n == 8 {
				wantCommits(t, healthy, m.Number)
			}
		}
		wantCommits(t, healthy, n)
	}
	t.Logf("%d deaths", deaths)
	// What the last crash left goes when the shard is loaded behind it.
	if got, want := items(t, url, "crash"), 1+named(t, url, "crash"); got != want {
		t.Errorf("%d items, want %d", got, want)
	}
}

func client(url string) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		BaseEndpoint: &url, Region: "local", Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""), DisableValidateResponseChecksum: true,
	})
}

// items counts a table's.
func items(t *testing.T, url, prefix string) (n int) {
	t.Helper()
	in := &dynamodb.ScanInput{TableName: aws.String(prefix + "-shards"), ConsistentRead: aws.Bool(true)}
	for {
		out, err := client(url).Scan(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if n += len(out.Items); len(out.LastEvaluatedKey) == 0 {
			return n
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// commitTogether: of processes that make the same commit at once one has made it, and
// nothing of the others is there.
func commitTogether(t *testing.T, url string) {
	t.Helper()
	s := tables(t, url, "together", nil).Shards()
	for n := uint64(1); n <= 10; n++ {
		const processes = 4
		errs := make([]error, processes)
		var group sync.WaitGroup
		for i := range processes {
			group.Go(func() {
				c := crashCommit(n)
				c.Rows = append(c.Rows, consumer.Row{Key: fmt.Sprint("winner/", n), Value: []byte(strconv.Itoa(i))}, consumer.Row{Key: fmt.Sprint("by/", n, "/", i), Value: []byte{}})
				errs[i] = s.Commit(t.Context(), crashed, c)
			})
		}
		group.Wait()
		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner < 0:
				winner = i
			case err == nil || throng.KindOf(err) != throng.Conflict:
				t.Fatalf("commit %d: %v", n, errs)
			}
		}
		by := 0
		if _, _, err := s.Load(t.Context(), crashed, func(r consumer.Row) error {
			if r.Key == fmt.Sprint("winner/", n) && string(r.Value) != strconv.Itoa(winner) {
				t.Errorf("commit %d is of %s, %d was told that his is", n, r.Value, winner)
			}
			if len(r.Key) > 3 && r.Key[:3] == "by/" {
				by++
			}
			return nil
		}); err != nil || by != int(n) || winner < 0 {
			t.Fatalf("commit %d: %v, %d made, winner %d", n, err, by, winner)
		}
	}
	if got, want := items(t, url, "together"), 1+named(t, url, "together"); got != want {
		t.Errorf("%d items, want %d", got, want)
	}
}

// named counts the pieces that marks name.
func named(t *testing.T, url, prefix string) (n int) {
	t.Helper()
	out, err := client(url).Scan(t.Context(), &dynamodb.ScanInput{
		TableName: aws.String(prefix + "-shards"), ConsistentRead: aws.Bool(true), FilterExpression: aws.String("attribute_exists(s)"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range out.Items {
		var segments []struct {
			P int `json:"p"`
		}
		if err := json.Unmarshal([]byte(attribute(i, "s")), &segments); err != nil {
			t.Fatal(err)
		}
		for _, s := range segments {
			n += s.P
		}
	}
	return n
}

func attribute(i map[string]types.AttributeValue, name string) string {
	v, _ := i[name].(*types.AttributeValueMemberS)
	if v == nil {
		return ""
	}
	return v.Value
}
