package process_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/throng-gg/throng/process"
)

// caged is a backend whose servers have limits, or a loud skip.
func caged(t *testing.T, edit func(*process.Config)) *underTest {
	t.Helper()
	u := run(t, edit)
	if log := u.log.String(); strings.Contains(log, "run without some of their limits") {
		t.Skipf("NOT TESTED: this machine does not let us limit processes: %s", log)
	}
	return u
}

func TestMemoryLimit(t *testing.T) {
	u := caged(t, func(c *process.Config) { c.MemoryBytes = 256 << 20 })
	glutton, other := u.start(t, serverID(1)), u.start(t, serverID(2))
	if got := glutton.ask(t, "eat 50"); got != "ok" {
		t.Errorf("within the limit: got %s", got)
	}
	glutton.tell(t, "eat 1000")
	got := u.exit(t)
	want := "signal: killed (it used up its memory limit of 256 MiB)"
	if got.Server != serverID(1) || got.Reason != want {
		t.Errorf("got %+v, want %s", got, want)
	}
	if got := other.ask(t, "eat 50"); got != "ok" {
		t.Errorf("the other server: got %s", got)
	}
	wantGroups(t, 1)
	u.end()
	wantGroups(t, 0)
}

func TestCPULimit(t *testing.T) {
	u := caged(t, func(c *process.Config) { c.CPUs = 0.25 })
	used, err := strconv.Atoi(u.start(t, serverID(1)).ask(t, "burn 2000"))
	if err != nil || used < 100 || used > 1200 {
		t.Errorf("in 2 s: got %d ms of CPU, %v, want about 500", used, err)
	}
	u.end()
	wantGroups(t, 0)
}

// wantGroups looks for servers' folders of this process in all hierarchies.
func wantGroups(t *testing.T, want int) {
	t.Helper()
	for _, root := range ours(t) {
		dirs, err := filepath.Glob(filepath.Join(root, "srv_*"))
		if err != nil || len(dirs) != want {
			t.Errorf("got groups %v, %v, want %d", dirs, err, want)
		}
	}
	if want == 0 && len(ours(t)) > 0 {
		t.Errorf("left behind: %v", ours(t))
	}
}

func ours(t *testing.T) []string {
	t.Helper()
	var roots []string
	for _, depth := range []string{"", "*/", "*/*/", "*/*/*/"} {
		found, err := filepath.Glob("/sys/fs/cgroup/" + depth + "throng-" + strconv.Itoa(os.Getpid()))
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, found...)
	}
	return roots
}

func TestNoLimitsAskedForIsNoComplaint(t *testing.T) {
	u := run(t, func(*process.Config) {})
	if strings.Contains(u.log.String(), "limits") {
		t.Errorf("got log %s, want nothing of limits", u.log)
	}
}
