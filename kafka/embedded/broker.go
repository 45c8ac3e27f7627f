// Package embedded is a broker inside a process, for throng dev and for tests:
// franz-go's kfake, which speaks Kafka's protocol and keeps topics, offsets and
// groups in a folder. It has one replica of everything and is no Kafka: a crash of
// the machine may lose what was written last.
//
// Neighbours: cmd/throng starts it; kafka connects to it.
package embedded

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/throng-gg/throng"
)

// Config is what a Broker is made of.
type Config struct {
	Dir  string // where it keeps everything; "": in memory
	Port int    // on the loopback interface; 0: a free one
	// Silent is the shortest time after which members of groups may ask to be given
	// up; 0: 6 s, as Kafka has it.
	Silent time.Duration
}

// Broker runs until it is closed.
type Broker struct {
	cluster *kfake.Cluster
	address string
}

// Open starts one with what the folder has. Unavailable: the port is taken.
func Open(cfg Config) (*Broker, error) {
	options := []kfake.Opt{kfake.NumBrokers(1), kfake.Ports(cfg.Port), kfake.ListenFn(func(network, address string) (net.Listener, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return net.Listen(network, net.JoinHostPort("127.0.0.1", port)) //nolint:noctx // it has none
	})}
	if cfg.Dir != "" {
		options = append(options, kfake.DataDir(cfg.Dir))
	}
	if cfg.Silent != 0 {
		options = append(options, kfake.GroupMinSessionTimeout(cfg.Silent))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		return nil, throng.Errorf(throng.Unavailable, "broker at port %s, folder %s: %w", strconv.Itoa(cfg.Port), cfg.Dir, err)
	}
	addresses := cluster.ListenAddrs()
	if len(addresses) != 1 {
		cluster.Close()
		return nil, throng.Errorf(throng.Internal, "the broker listens at %d addresses", len(addresses))
	}
	return &Broker{cluster: cluster, address: addresses[0]}, nil
}

// Address is where it listens, host:port.
func (b *Broker) Address() string { return b.address }

// Port is that of Address.
func (b *Broker) Port() (int, error) {
	_, port, err := net.SplitHostPort(b.address)
	if err != nil {
		return 0, fmt.Errorf("broker: %w", err)
	}
	return strconv.Atoi(port)
}

// Close ends it; what it keeps is written.
func (b *Broker) Close() { b.cluster.Close() }
