package contract

import (
	"slices"
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/fleet"
)

// backendSites is the contract of fleet.Sites, for backends that are it.
func backendSites(t *testing.T, u BackendUnderTest) {
	sites, ok := u.Backend.(fleet.Sites)
	if !ok {
		t.Skip("this backend does not say where servers run")
	}
	one, two := backendID(1), backendID(2)
	var names []string
	for _, c := range sites.Clusters() {
		names = append(names, c.Name)
	}
	if len(names) == 0 || !slices.IsSorted(names) || slices.Contains(names, "") {
		t.Fatalf("clusters are %q, want some, with names, sorted", names)
	}
	backendStart(t, u.Backend, one)
	all := sites.Sites()
	if len(all) != 1 || all[0].Server != one || !slices.Contains(names, all[0].Cluster) || all[0].Old {
		t.Fatalf("sites are %+v, want %s in one of %q", all, one, names)
	}
	sites.Avoid(append(names, "no such cluster"))
	if err := u.Backend.Allocate(backendContext(t), two); throng.KindOf(err) != throng.NoCapacity || err == nil {
		t.Errorf("allocate while all clusters are avoided: %v, want NoCapacity", err)
	}
	if len(sites.Sites()) != 1 {
		t.Error("a server that runs in an avoided cluster is gone")
	}
	if err := u.Backend.Allocate(backendContext(t), one); err != nil {
		t.Errorf("allocate again what runs in an avoided cluster: %v", err)
	}
	sites.Avoid(nil)
	backendStart(t, u.Backend, backendID(3))
}
