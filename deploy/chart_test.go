// Package deploy holds what operators install; its tests hold it to the code.
package deploy

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write testdata/*.golden.yaml anew")

const chart = "helm/throng"

// helm runs it and returns what it said.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	bin := os.Getenv("THRONG_CLUSTER_BIN") //nolint:forbidigo // where a test's programs are
	if bin == "" {
		t.Skip("NOT TESTED: the chart needs helm; THRONG_CLUSTER_BIN says in which folder it is")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	home := t.TempDir()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "helm"), args...)
	cmd.Env = []string{"HOME=" + home, "PATH=/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func template(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return helm(t, append([]string{"template", "throng", chart, "--namespace", "games", "--kube-version", "1.35.4"}, args...)...)
}

// made is what is different each time: a certificate and its key.
var made = regexp.MustCompile(`(?m)^( *(?:ca\.crt|tls\.crt|tls\.key|caBundle): )[A-Za-z0-9+/=]{100,}$`)

func TestChart(t *testing.T) {
	for _, name := range []string{"small", "region", "cluster", "bucket", "events", "shared", "edge"} {
		t.Run(name, func(t *testing.T) {
			values, golden := "testdata/"+name+".values.yaml", "testdata/"+name+".golden.yaml"
			if out, err := helm(t, "lint", "--strict", "--kube-version", "1.35.4", chart, "-f", values); err != nil {
				t.Errorf("helm lint: %v\n%s", err, out)
			}
			out, err := template(t, "-f", values)
			if err != nil {
				t.Fatalf("helm template: %v\n%s", err, out)
			}
			got := made.ReplaceAllString(out, "${1}MADE")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the chart renders something else than %s (go test ./deploy -update writes it):\n%s", golden, firstDifference(got, string(want)))
			}
			objects := parse(t, out)
			held(t, objects)
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "got  " + strings.Join(g[max(i-3, 0):min(i+3, len(g))], "\n     ") + "\nwant " + w[i]
		}
	}
	return "one is longer"
}

// object is a manifest.
type object map[string]any

func parse(t *testing.T, text string) (all []object) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	for {
		var o object
		if err := d.Decode(&o); err != nil {
			if err.Error() == "EOF" {
				return all
			}
			t.Fatal(err)
		}
		if len(o) > 0 {
			all = append(all, o)
		}
	}
}

// at returns what stands at a path of keys; nil: nothing.
func (o object) at(path ...string) any {
	var v any = o
	for _, key := range path {
		v = obj(v)[key]
	}
	return v
}

// obj is a part of a manifest; nil: it is none.
func obj(v any) object {
	switch m := v.(type) {
	case object:
		return m
	case map[string]any:
		return m
	}
	return nil
}

func (o object) text(path ...string) string {
	s, _ := o.at(path...).(string)
	return s
}

func find(all []object, kind string) (found []object) {
	for _, o := range all {
		if o.text("kind") == kind {
			found = append(found, o)
		}
	}
	return found
}

// held checks what must hold for any values.
func held(t *testing.T, all []object) {
	t.Helper()
	names := map[string]bool{}
	for _, o := range all {
		key := o.text("kind") + " " + o.text("metadata", "namespace") + "/" + o.text("metadata", "name")
		if names[key] {
			t.Errorf("%s is there twice", key)
		}
		names[key] = true
	}
	for _, d := range find(all, "Deployment") {
		apart(t, "control plane", d.at("spec", "template", "spec"))
	}
	for _, d := range find(all, "DaemonSet") { // in its node's network
		confined(t, d.text("metadata", "name"), d.at("spec", "template", "spec"))
	}
	for _, f := range find(all, "Fleet") {
		apart(t, "game server", f.at("spec", "template", "spec", "template", "spec"))
		if f.text("metadata", "annotations", "helm.sh/resource-policy") != "keep" {
			t.Errorf("Fleet %s would go with the release, and its occupied servers too", f.text("metadata", "name"))
		}
	}
	for _, r := range find(all, "Role") {
		leastPrivilege(t, r)
	}
	if n := len(find(all, "ClusterRole")); n > 0 {
		t.Errorf("got %d ClusterRoles, want none", n)
	}
	for _, a := range find(all, "FleetAutoscaler") {
		chainOf(t, a)
	}
}

// confined: no root, no writing, no privileges.
func confined(t *testing.T, what string, spec any) {
	t.Helper()
	pod := obj(spec)
	for _, c := range pod.at("containers").([]any) {
		o := obj(c)
		for path, want := range map[string]any{"readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false} {
			if got := o.at("securityContext", path); got != want {
				t.Errorf("%s: got %s %v, want %v", what, path, got, want)
			}
		}
		root, user := o.at("securityContext", "runAsNonRoot"), o.at("securityContext", "runAsUser")
		if root == nil {
			root, user = pod.at("securityContext", "runAsNonRoot"), pod.at("securityContext", "runAsUser")
		}
		if root != true || user != 65532 {
			t.Errorf("%s: got runAsNonRoot %v, runAsUser %v, want true and 65532", what, root, user)
		}
		if drop, _ := o.at("securityContext", "capabilities", "drop").([]any); !slices.Equal(drop, []any{"ALL"}) {
			t.Errorf("%s: got capabilities dropped %v, want ALL", what, drop)
		}
	}
	if pod.at("enableServiceLinks") != false {
		t.Errorf("%s: Services would set THRONG_... in its environment", what)
	}
	if pod.at("hostPID") != nil || pod.at("hostIPC") != nil {
		t.Errorf("%s is in its node's namespaces", what)
	}
}

// apart: confined, and not in its node's network.
func apart(t *testing.T, what string, spec any) {
	t.Helper()
	confined(t, what, spec)
	if obj(spec).at("hostNetwork") != nil {
		t.Errorf("%s is in its node's network", what)
	}
}

// TestCapabilitiesOfGateways: whoever lets the kernel drop garbage, or gateways run before all
// else, gives them what that needs, and nothing else.
func TestCapabilitiesOfGateways(t *testing.T) {
	for _, c := range []struct {
		set, arg     string
		capabilities []any
	}{
		{"edge.gateway.xdp=eth0", "--xdp=eth0", []any{"BPF", "NET_ADMIN"}},
		{"edge.gateway.realtime=true", "--realtime", []any{"SYS_NICE"}},
		{"edge.gateway.xdp=eth0,edge.gateway.realtime=true", "--realtime", []any{"BPF", "NET_ADMIN", "SYS_NICE"}},
	} {
		out, err := template(t, "-f", "testdata/edge.values.yaml", "--set", c.set)
		if err != nil {
			t.Fatalf("helm template: %v\n%s", err, out)
		}
		for _, d := range find(parse(t, out), "DaemonSet") {
			pod := obj(d.at("spec", "template", "spec"))
			if d.text("metadata", "labels", "app.kubernetes.io/component") != "gateway" {
				confined(t, "beacon", pod)
				continue
			}
			capable(t, pod, c.arg, c.capabilities)
		}
	}
}

// capable: a gateway with an argument and some of root's capabilities, and none of its files.
func capable(t *testing.T, pod object, arg string, capabilities []any) {
	t.Helper()
	c := obj(pod.at("containers").([]any)[0])
	args, _ := c.at("args").([]any)
	added, _ := c.at("securityContext", "capabilities", "add").([]any)
	dropped, _ := c.at("securityContext", "capabilities", "drop").([]any)
	if !slices.Contains(args, any(arg)) || !slices.Equal(added, capabilities) || !slices.Equal(dropped, []any{"ALL"}) ||
		pod.at("securityContext", "runAsUser") != 0 || c.at("securityContext", "readOnlyRootFilesystem") != true {
		t.Errorf("got a gateway of %v, user %v, capabilities %v", args, pod.at("securityContext", "runAsUser"), added)
	}
}

// leastPrivilege: what the control plane does, and nothing else.
func leastPrivilege(t *testing.T, role object) {
	t.Helper()
	want := map[string][]string{
		"agones.dev/gameservers": {"delete", "get", "list", "watch"},
		"/pods":                  {"list", "watch"},
		"agones.dev/fleets":      {"get", "list", "watch"},
		"allocation.agones.dev/gameserverallocations": {"create"},
		"autoscaling.agones.dev/fleetautoscalers":     {"get", "patch"},
	}
	rules, _ := role.at("rules").([]any)
	got := map[string][]string{}
	for _, r := range rules {
		rule := obj(r)
		for _, g := range rule.at("apiGroups").([]any) {
			for _, res := range rule.at("resources").([]any) {
				for _, v := range rule.at("verbs").([]any) {
					key := g.(string) + "/" + res.(string)
					got[key] = append(got[key], v.(string))
				}
			}
		}
	}
	for key, verbs := range got {
		slices.Sort(verbs)
		if !slices.Equal(verbs, want[key]) {
			t.Errorf("role: got %s %v, want %v", key, verbs, want[key])
		}
	}
	if len(got) != len(want) {
		t.Errorf("role: got %d kinds, want %d", len(got), len(want))
	}
}

// chainOf: a webhook, and a Buffer behind it that Agones takes.
func chainOf(t *testing.T, a object) {
	t.Helper()
	chain, _ := a.at("spec", "policy", "chain").([]any)
	if len(chain) != 2 {
		t.Fatalf("got a chain of %d, want 2", len(chain))
	}
	hook, buffer := obj(chain[0]), obj(chain[1])
	url, service := hook.text("webhook", "url"), hook.at("webhook", "service")
	if (url == "") == (service == nil) {
		t.Errorf("got url %q and service %v, want one of them: Agones refuses both", url, service)
	}
	path := hook.text("webhook", "service", "path")
	if want := a.text("spec", "fleetName"); !strings.HasSuffix(url+path, "/"+want) || !strings.Contains(url+path, "/autoscale/") {
		t.Errorf("got %s%s, want /autoscale/CLUSTER/%s", url, path, want)
	}
	size, _ := buffer.at("buffer", "bufferSize").(int)
	least, _ := buffer.at("buffer", "minReplicas").(int)
	most, _ := buffer.at("buffer", "maxReplicas").(int)
	if size < 1 || least < size || most < least {
		t.Errorf("got a Buffer of %d, %d to %d: Agones refuses it", size, least, most)
	}
	for _, e := range []object{hook, buffer} {
		if e.text("id") == "" {
			t.Error("an entry of the chain has no id")
		}
	}
}

// TestChartRefuses: values that cannot work are refused before anything is
// installed, in words that say which and why.
func TestChartRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		set  []string
		want []string
	}{
		"unknown value":             {[]string{"contolPlane.replicas=2"}, []string{"contolPlane"}},
		"unknown value below":       {[]string{"controlPlane.replica=2"}, []string{"controlPlane", "replica"}},
		"no number":                 {[]string{"controlPlane.max=many"}, []string{"controlPlane", "max", "integer"}},
		"bad region":                {[]string{"region=No Where"}, []string{"region"}},
		"replicas without Redis":    {[]string{"controlPlane.replicas=2"}, []string{"redis.urlSecret.name"}},
		"replicas on one's volume":  {[]string{"controlPlane.replicas=2", "redis.urlSecret.name=r"}, []string{"ReadWriteMany", "data.existingClaim"}},
		"replicas without volume":   {[]string{"controlPlane.replicas=2", "redis.urlSecret.name=r", "data.enabled=false"}, []string{"ReadWriteMany"}},
		"replicas without a ring":   {[]string{"controlPlane.replicas=2", "redis.urlSecret.name=r", "places.url=s3://b/p"}, []string{"ringSecret"}},
		"a volume of several":       {[]string{"controlPlane.replicas=2", "redis.urlSecret.name=r", "places.url=s3://b/p", "ringSecret=r"}, []string{"data.enabled"}},
		"a beacon without a port":   {[]string{"controlPlane.beacons={udp://h}"}, []string{"beacons"}},
		"regions without its own":   {[]string{"places.regions={s3://b/p}"}, []string{"places.url"}},
		"peers without tokens":      {[]string{"peers.doors={us=https://us.example}"}, []string{"peers.tokensSecret.name"}},
		"no number of a region":     {[]string{"regionNumber=0"}, []string{"regionNumber"}},
		"no bucket":                 {[]string{"places.url=http://b/p"}, []string{"places", "url"}},
		"consumers without Kafka":   {[]string{"consumers.enabled=true"}, []string{"kafka.urlSecret.name"}},
		"consumers that forget":     {[]string{"consumers.enabled=true", "kafka.urlSecret.name=k", "data.enabled=false"}, []string{"consumers.enabled", "data.existingClaim"}},
		"files that are forgotten":  {[]string{"consumers.enabled=true", "kafka.urlSecret.name=k", "data.enabled=false", "dynamo.url=dynamodb://eu/t"}, []string{"consumers.numbers"}},
		"no table":                  {[]string{"dynamo.url=eu/t"}, []string{"dynamo", "url"}},
		"brokers of nowhere":        {[]string{"kafka.caSecret=ca"}, []string{"kafka.urlSecret.name"}},
		"others without Kafka":      {[]string{"peers.kafkaSecret.name=k"}, []string{"kafka.urlSecret.name"}},
		"a home without a copy":     {[]string{"peers.home=eu", "peers.doors={eu=https://eu}", "peers.tokensSecret.name=t"}, []string{"peers.home"}},
		"records of nothing":        {[]string{"nearest.latencyRecords.provider=aws", "nearest.latencyRecords.name=play.example", "nearest.latencyRecords.location=eu-west-1"}, []string{"nearest.latencyRecords", "service.type"}},
		"records without a place":   {[]string{"nearest.latencyRecords.provider=aws", "nearest.latencyRecords.name=play.example", "service.type=LoadBalancer"}, []string{"nearest.latencyRecords", "location"}},
		"an address of nobody":      {[]string{"nearest.anycast.provider=metallb", "service.type=LoadBalancer"}, []string{"nearest.anycast"}},
		"gateways without keys":     {[]string{"edge.gateway.enabled=true"}, []string{"edge.gateway.keysSecret.name"}},
		"a gateway by its name":     {[]string{"controlPlane.gateways={gateway.example:7800}"}, []string{"gateways"}},
		"a gateway that lingers":    {[]string{"edge.gateway.drain=90s"}, []string{"drain"}},
		"autoscaling without Redis": {[]string{"autoscaling.enabled=true"}, []string{"redis.urlSecret.name"}},
		"more warm than servers":    {[]string{"controlPlane.warm=50", "controlPlane.max=10"}, []string{"controlPlane.warm", "50", "10"}},
		"stops too slowly":          {[]string{"controlPlane.stopWait=9s"}, []string{"stopWait"}},
		"door's name":               {[]string{"tls.secret=door"}, []string{"controlPlane.public", "certificate"}},
		"ingress without a host":    {[]string{"ingress.enabled=true"}, []string{"ingress.host"}},
		"firewall without an ID":    {[]string{"ingress.webFirewall.provider=aws"}, []string{"ingress.webFirewall.id"}},
		"unknown firewall":          {[]string{"ingress.webFirewall.provider=moat"}, []string{"webFirewall", "provider"}},
		"certificate nobody trusts": {[]string{"autoscaler.tls.mode=secret", "autoscaler.tls.secret=s"}, []string{"autoscaler.tls.caBundle"}},
		"no certificate":            {[]string{"autoscaler.tls.mode=secret", "autoscaler.tls.caBundle=Q0E="}, []string{"autoscaler.tls.secret"}},
		"webhook of nowhere":        {[]string{"controlPlane.enabled=false", "autoscaler.tls.mode=none"}, []string{"autoscaler.url"}},
		"door of nowhere":           {[]string{"controlPlane.enabled=false", "autoscaler.enabled=false"}, []string{"door is needed"}},
		"buffer above its least":    {[]string{"fleetDefaults.autoscaler.buffer=9"}, []string{"warm", "buffer", "9, 4, 1000"}},
		"fleet without a name":      {[]string{"fleets[0].cluster=x"}, []string{"name"}},
		"fleet's port":              {[]string{"fleetDefaults.ports.game=80"}, []string{"game"}},
		"cluster's weight":          {[]string{"clusters[0].name=a", "clusters[0].fleet=b", "clusters[0].weight=-1"}, []string{"weight"}},
		"no CIDR":                   {[]string{"fleetDefaults.udpShield.sources={anywhere}"}, []string{"sources"}},
	} {
		t.Run(name, func(t *testing.T) {
			var args []string
			for _, s := range c.set {
				args = append(args, "--set", s)
			}
			out, err := template(t, args...)
			if err == nil {
				t.Fatal("got it rendered, want a refusal")
			}
			for _, word := range c.want {
				if !strings.Contains(out, word) {
					t.Errorf("got %s, want %q in it", out, word)
				}
			}
		})
	}
}
