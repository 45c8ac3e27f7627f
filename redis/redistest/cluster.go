package redistest

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const slots = 16384

// replicaUser is whom replicas are to their masters, who may turn them away.
const replicaUser = "replica"

// Cluster is a Redis Cluster of three masters, each with a replica.
type Cluster struct {
	Masters  []*Server // as they were at the start
	Replicas []*Server // of the master at the same place
}

// StartCluster starts a Cluster that ends with the test. Masters that are gone
// for timeout are replaced by their replicas; zero: 4 s.
func StartCluster(t testing.TB, timeout time.Duration) *Cluster {
	t.Helper()
	Require(t)
	c, err := LaunchCluster(t.TempDir(), timeout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

// LaunchCluster starts a Cluster with its files in dir. The caller stops it.
func LaunchCluster(dir string, timeout time.Duration) (*Cluster, error) {
	if timeout == 0 {
		timeout = 4 * time.Second
	}
	c := &Cluster{}
	for i := range 6 {
		folder := filepath.Join(dir, strconv.Itoa(i))
		s, err := launchNode(folder, timeout)
		if err != nil {
			c.Stop()
			return nil, err
		}
		if i < 3 {
			c.Masters = append(c.Masters, s)
		} else {
			c.Replicas = append(c.Replicas, s)
		}
	}
	if err := c.join(); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

func launchNode(folder string, timeout time.Duration) (*Server, error) {
	if err := makeDir(folder); err != nil {
		return nil, err
	}
	return Launch(folder, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
		"--cluster-node-timeout", strconv.FormatInt(timeout.Milliseconds(), 10),
		"--cluster-replica-validity-factor", "0", "--repl-ping-replica-period", "1",
		"--user", replicaUser, "on", ">"+replicaUser, "+psync", "+replconf", "+ping",
		"--masteruser", replicaUser, "--masterauth", replicaUser)
}

// join makes one Cluster of the servers.
func (c *Cluster) join() error {
	first := c.Masters[0]
	for i, s := range c.Masters {
		from, to := slots*i/3, slots*(i+1)/3-1
		if _, err := s.Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(from), strconv.Itoa(to)); err != nil {
			return err
		}
	}
	for i, s := range c.all() {
		if _, err := s.Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1)); err != nil {
			return err
		}
		if s == first {
			continue
		}
		if _, err := s.Do("CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(first.port)); err != nil {
			return err
		}
	}
	for i, r := range c.Replicas {
		id, err := c.Masters[i].Do("CLUSTER", "MYID")
		if err != nil {
			return err
		}
		err = Await(startTime, func() error {
			_, err := r.Do("CLUSTER", "REPLICATE", id)
			return err
		}, nil)
		if err != nil {
			return err
		}
	}
	return c.AwaitHealthy()
}

// AwaitHealthy waits until every server sees all slots served and all replicas
// are up to date.
func (c *Cluster) AwaitHealthy() error {
	return Await(startTime, func() error {
		for _, s := range c.all() {
			info, err := s.Do("CLUSTER", "INFO")
			if err != nil {
				return err
			}
			if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:6") {
				return fmt.Errorf("the cluster is not whole: %s", info)
			}
			role, err := s.Do("INFO", "replication")
			if err != nil {
				return err
			}
			if strings.Contains(role, "role:slave") && !strings.Contains(role, "master_link_status:up") {
				return errors.New("a replica is not up to date")
			}
		}
		return nil
	}, nil)
}

func (c *Cluster) all() []*Server {
	return append(append([]*Server(nil), c.Masters...), c.Replicas...)
}

// Stop ends all servers.
func (c *Cluster) Stop() {
	for _, s := range c.all() {
		s.Stop()
	}
}

// URL is where the Cluster is.
func (c *Cluster) URL() string {
	var addrs []string
	for _, s := range c.Masters {
		addrs = append(addrs, s.Addr)
	}
	return "redis://" + strings.Join(addrs, ",")
}

// IsMaster says whether a server is one now.
func IsMaster(s *Server) bool {
	info, err := s.Do("INFO", "replication")
	return err == nil && strings.Contains(info, "role:master")
}

// Failover makes the ith replica the master. Nothing is lost.
func (c *Cluster) Failover(t testing.TB, i int) {
	t.Helper()
	promote(t, c.Replicas[i])
}

// FailBack makes the ith master, which is a replica by now, the master again.
func (c *Cluster) FailBack(t testing.TB, i int) {
	t.Helper()
	promote(t, c.Masters[i])
}

// Cut separates the ith replica from its master, as a network does that is cut:
// what is written from now on is lost when the replica is promoted.
func (c *Cluster) Cut(t testing.TB, i int) {
	t.Helper()
	c.Masters[i].Must(t, "ACL", "SETUSER", replicaUser, "off")
	c.Masters[i].Must(t, "CLIENT", "KILL", "TYPE", "replica")
}

// Mend lets the ith replica reach its master again.
func (c *Cluster) Mend(t testing.TB, i int) {
	t.Helper()
	c.Masters[i].Must(t, "ACL", "SETUSER", replicaUser, "on")
}

// LoseMaster kills the ith master and promotes its replica, which lacks what was
// written since Cut.
func (c *Cluster) LoseMaster(t testing.TB, i int) {
	t.Helper()
	c.Masters[i].Kill()
	err := Await(startTime, func() error {
		if IsMaster(c.Replicas[i]) {
			return nil
		}
		_, err := c.Replicas[i].Do("CLUSTER", "FAILOVER", "TAKEOVER")
		if err != nil {
			return err
		}
		return errors.New("not yet")
	}, nil)
	if err != nil {
		t.Fatalf("promote the replica %s: %v", c.Replicas[i].Addr, err)
	}
}

// promote asks a replica to take over until it has: on a busy machine the two may
// not agree in time.
func promote(t testing.TB, s *Server) {
	t.Helper()
	asked := time.Time{}
	err := Await(startTime, func() error {
		if IsMaster(s) {
			return nil
		}
		if time.Since(asked) > 6*time.Second {
			asked = time.Now()
			if _, err := s.Do("CLUSTER", "FAILOVER"); err != nil {
				return err
			}
		}
		return errors.New("it is a replica still")
	}, nil)
	if err != nil {
		t.Fatalf("promote %s: %v", s.Addr, err)
	}
}
