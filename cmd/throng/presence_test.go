package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/cmd/command"
)

func TestPeerKafka(t *testing.T) {
	us := newRegionSpot(t, "us", 2)
	tokens := tokensOf(t, "eu", us)
	const url = "kafkas://ada:secret@k1:9093,k2:9093/game"
	read := func(text, own string, peers ...string) (map[throng.RegionID]string, error) {
		f := peersFlags{Peers: peers, presenceFlags: presenceFlags{PeerKafka: filepath.Join(t.TempDir(), "kafkas")}}
		if len(peers) > 0 {
			f.PeerTokens = tokens
		}
		if text != "" {
			if err := os.WriteFile(f.PeerKafka, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return f.kafkas(groundFlags{Region: "eu", KafkaFlags: command.KafkaFlags{Kafka: own}})
	}
	if got, err := read("# of us\n\n us = "+url+"\nap=k3:9092\n", "k:9092", "us=http://us"); err != nil || len(got) != 2 || got["us"] != url || got["ap"] != "k3:9092" {
		t.Errorf("got %v, %v, want those of us and ap", got, err)
	}
	for name, c := range map[string]struct {
		text, own string
		want      string
	}{
		"no Kafka here":  {"us=" + url, "", "goes with --kafka"},
		"no file":        {"", "k:9092", "cannot be read"},
		"nobody":         {"#", "k:9092", "has no line for region us"},
		"twice":          {"us=" + url + "\nus=" + url, "k:9092", "line 2: us is there twice"},
		"no region":      {"\n" + url, "k:9092", "line 2 does not begin with a region's name"},
		"itself":         {"eu=" + url, "k:9092", "line 1: eu is this region itself"},
		"no URL":         {"us=ada:secret", "k:9092", "line 1: is not like us="},
		"large":          {strings.Repeat("#", maxPeerKafka+1), "k:9092", "is larger than"},
		"another region": {"ap=" + url, "k:9092", "has no line for region us"},
	} {
		_, err := read(c.text, c.own, "us=http://us")
		if throng.KindOf(err) != throng.Invalid || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "--peer-kafka: ") {
			t.Errorf("%s: got %v, want invalid and %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
}
