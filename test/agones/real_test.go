package agones_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng/deploy/image"
	"github.com/throng-gg/throng/test/agones"
	"github.com/throng-gg/throng/test/agones/control"
	"github.com/throng-gg/throng/test/agones/object"
	"github.com/throng-gg/throng/test/lab"
)

const realImage = "lab.test/standin:1"

// standinImage builds cmd/standin, which is the sidecar and the game.
func standinImage(t *testing.T) string {
	t.Helper()
	binary, tar := filepath.Join(t.TempDir(), "standin"), filepath.Join(t.TempDir(), "standin.tar")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "./cmd/standin")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the stand-in: %v\n%s", err, out)
	}
	if err := image.WriteFile(tar, image.Image{Name: realImage, Files: []image.File{{Path: "/standin", From: binary}}}); err != nil {
		t.Fatal(err)
	}
	return tar
}

// TestRecordedRealPods: Pods on a real node, their sidecars, and the ends that
// need a kubelet.
func TestRecordedRealPods(t *testing.T) {
	lab.RequireNode(t)
	n := lab.StartNode(t, lab.NodeOptions{Images: []string{standinImage(t)}})
	f := startOn(t, n.Config(), agones.Options{
		Host: n.Machine, Pods: control.RealPods, SDKImage: realImage, Nodes: []control.Node{{}}, BatchWait: 20 * time.Millisecond,
	})
	fleet := &object.Fleet{}
	if err := unmarshal(text(t, load(t, "fleet/01-create.json").Request.Body), fleet); err != nil {
		t.Fatal(err)
	}
	fleet.Name, fleet.Namespace, fleet.Spec.Replicas = "df", "default", 4
	fleet.Spec.Template.Spec.Template.Spec.NodeSelector = nil
	game := &fleet.Spec.Template.Spec.Template.Spec.Containers[0]
	game.Image, game.Args = realImage, []string{"game"}
	begin := time.Now()
	if _, err := f.Fleets.Create(t.Context(), fleet); err != nil {
		t.Fatal(err)
	}
	f.counted("df", func(st *object.FleetStatus) bool { return st.ReadyReplicas == 4 })
	t.Logf("4 real Pods Ready after %v", time.Since(begin))
	f.comparePod(t)

	h := f.watch()
	for _, d := range []struct {
		file string
		do   func(name string) error
	}{
		{"01-exit-1.json", func(name string) error { return f.order(name, "exit 1") }},
		{"02-exit-0.json", func(name string) error { return f.order(name, "exit 0") }},
		{"03-kill-9.json", func(name string) error { return kill(n, name, "game") }},
		{"05-health-stops.json", func(name string) error { return f.order(name, "mute") }},
		{"06-pod-deleted.json", func(name string) error {
			status, b := f.do(http.MethodDelete, "/api/v1/namespaces/default/pods/"+name, nil, "")
			if status != http.StatusOK {
				return fmt.Errorf("delete Pod: %d %s", status, b)
			}
			return nil
		}},
		{"07-gs-deleted.json", f.deleteServer},
		{"08-sdk-shutdown.json", func(name string) error { return f.order(name, "shutdown") }},
	} {
		t.Run(d.file, func(t *testing.T) { f.die(t, h, d.file, d.do) })
	}
	t.Run("04-kill-9-sidecar.json", func(t *testing.T) {
		f.counted("df", func(st *object.FleetStatus) bool { return st.ReadyReplicas > 0 })
		name := f.allocate(`{"selectors":[{"matchLabels":{"agones.dev/fleet":"df"}}]}`).GameServerName
		if err := kill(n, name, "sidecar"); err != nil {
			t.Fatal(err)
		}
		f.eventually("the sidecar runs again", 20*time.Second, func() (bool, any) {
			var pod struct {
				Status struct {
					Init []struct {
						RestartCount int
						Started      bool
					} `json:"initContainerStatuses"`
				} `json:"status"`
			}
			f.get("/api/v1/namespaces/default/pods/"+name, &pod)
			return pod.Status.Init[0].RestartCount == 1 && pod.Status.Init[0].Started, pod.Status
		})
		if got := f.await(name, object.Allocated); got.DeletionTimestamp != nil {
			t.Errorf("%s is being deleted: recorded unchanged", name)
		}
		// The new sidecar works: the game ends through it.
		f.eventually("the game ends through the new sidecar", 20*time.Second, func() (bool, any) {
			err := f.order(name, "shutdown")
			all := states(h.of(name))
			return slices.Contains(all, "Shutdown"), err
		})
	})
}

// comparePod compares a Pod of the Fleet with the recorded one, but for image
// names, the sidecar's own arguments and the feature gates of Agones.
func (f *fixture) comparePod(t *testing.T) {
	t.Helper()
	var l struct {
		Items []map[string]any `json:"items"`
	}
	f.get("/api/v1/namespaces/default/pods?labelSelector=agones.dev/role%3Dgameserver", &l)
	want := load(t, "gameserver/02-ready.pod.json").Response.Body.(map[string]any) //nolint:forcetypeassert // a test's
	c := newComparison()
	c.expect(t, "the Pod's sidecar and game", bare(want), bare(l.Items[0]))
}

// bare is what a Pod runs, without what can't be alike.
func bare(pod map[string]any) any {
	spec := pod["spec"].(map[string]any) //nolint:forcetypeassert // a test's
	out := map[string]any{
		"labels": len(pod["metadata"].(map[string]any)["labels"].(map[string]any)), //nolint:forcetypeassert // a test's
	}
	for _, k := range []string{"restartPolicy", "serviceAccountName", "terminationGracePeriodSeconds"} {
		out[k] = spec[k]
	}
	for _, k := range []string{"initContainers", "containers"} {
		for _, ct := range spec[k].([]any) { //nolint:forcetypeassert // a test's
			m := ct.(map[string]any) //nolint:forcetypeassert // a test's
			delete(m, "image")
			delete(m, "args")
			var mounts []any
			for _, v := range m["volumeMounts"].([]any) { //nolint:forcetypeassert // a test's
				mounts = append(mounts, v.(map[string]any)["mountPath"]) //nolint:forcetypeassert // a test's
			}
			m["volumeMounts"] = mounts
			m["env"] = slices.DeleteFunc(m["env"].([]any), func(e any) bool { //nolint:forcetypeassert // a test's
				name := e.(map[string]any)["name"] //nolint:forcetypeassert // a test's
				return name == "FEATURE_GATES" || name == "GAMESERVER_NAME"
			})
			out[k] = m
		}
	}
	return out
}

// order tells a game in a Pod what to do, by its host port.
func (f *fixture) order(name, what string) error {
	gs, err := f.GameServers.Get(f.t.Context(), "default", name)
	if err != nil {
		return err
	}
	conn, err := net.Dial("udp", net.JoinHostPort(gs.Status.Address, strconv.Itoa(int(gs.Status.Ports[0].Port)))) //nolint:noctx // it returns at once
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(what)); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 512))
	return err
}

// kill ends a process of a server's Pod, as kill -9 on the node does.
func kill(n *lab.Node, server, command string) error {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	for _, path := range all {
		line, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(line, []byte("/standin\x00"+command)) {
			continue
		}
		env, err := os.ReadFile(filepath.Join(filepath.Dir(path), "environ"))
		if err != nil || !strings.Contains("\x00"+string(env), "\x00HOSTNAME="+server+"\x00") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return err
		}
		return syscall.Kill(pid, syscall.SIGKILL)
	}
	return fmt.Errorf("no process %s of %s runs on %s", command, server, n.IP)
}
