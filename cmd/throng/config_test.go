package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var updatePage = flag.Bool("update", false, "write docs/configuration.md anew")

// configFor writes a configuration file.
func configFor(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "throng.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestConfigFaults(t *testing.T) {
	name := configFor(t, `# all faults at once
control:
  adr: 127.0.0.1:7700
  warm: many
  max: 12
  max: 13
  log-level: LOUD
  dev: perhaps
  keep_seat: 3
  stop-wait: 3
  data:
    x: 1
  public:
nod:
  max: 3
node:
  addr: [http://a:7700, http://b:7700]
  token: [{}]
  tokens: x
  quite-another-thing: x
  server-cpu: much
`)
	status, out := throngCommand(t, "config", "check", name)
	want := `throng: FILE:3: control.adr: there is no such key (did you mean "addr"?)
FILE:4: control.warm: "many" is not allowed, it must be a whole number
FILE:6: control.max: is there twice, first in line 5
FILE:7: control.log-level: "LOUD" is not allowed, it must be one of DEBUG, INFO, WARN, ERROR
FILE:8: control.dev: "perhaps" is not allowed, it must be true or false
FILE:9: control.keep_seat: there is no such key (did you mean "keep-seat"?)
FILE:10: control.stop-wait: "3" is not allowed, it must be a duration like 30s or 5m
FILE:12: control.data: must be a value, or a list of values
FILE:13: control.public: must be a value, or a list of values
FILE:14: nod: there is no such part (did you mean "node"?); there are dev, control, node
FILE:18: node.token: must be a value, or a list of values
FILE:19: node.tokens: there is no such key (did you mean "token"?)
FILE:20: node.quite-another-thing: there is no such key
FILE:21: node.server-cpu: "much" is not allowed, it must be a number
`
	if got := strings.ReplaceAll(out, name, "FILE"); status == 0 || got != want {
		t.Errorf("exit status %d, got\n%s\nwant\n%s", status, got, want)
	}
}

// What values say together is checked, too, and told with the line.
func TestConfigSense(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"control:\n  warm: 9\n  max: 3\n", "FILE:2: control.warm: 9 idle servers"},
		{"dev:\n\n  max: 0\n  warm: 0\n", "FILE:3: dev.max: 0 servers"},
		{"dev:\n  region: No Where\n", `FILE:2: dev.region: "No Where"`},
		{"dev:\n  server-cpu: -1\n", "FILE:2: dev.server-cpu: -1 is not allowed"},
		{"control:\n  stop-wait: 1m\n", "FILE:2: control.stop-wait: 1m0s is not allowed, 0s to 8s are"},
		{"control:\n  public: nowhere://x\n", `FILE:2: control.public: "nowhere://x" is not allowed`},
		{"control:\n  beacon:\n    - udp://a:1\n    - http://b\n", `FILE:2: control.beacon: "http://b" must end in /beacon`},
		{"dev:\n  beacon: [udp://a:1, udp://a:1]\n", `FILE:2: dev.beacon: "udp://a:1" is there twice`},
		{"node:\n  addr: ftp://x\n", `FILE:2: node.addr: "ftp://x" is not a URL`},
		{"node:\n\tmax: 1\n", "FILE:2: found character that cannot start any token"},
		{"- a\n- b\n", "FILE:1: the file must be keys with values"},
		{"dev: 3\n", "FILE:1: dev must be keys with values"},
		{"dev: {}\n---\ndev: {}\n", "FILE:2: begins a second document"},
		{"dev:\n  data: \"\xff\"\n", "FILE: the file is not UTF-8 text"},
		{strings.Repeat("#", maxConfig+1), "FILE: the file is larger than 1048576 bytes"},
	} {
		name := configFor(t, c.text)
		for _, args := range [][]string{{"config", "check", name}, {"config", "show", sectionOf(c.text), "--config", name}} {
			status, out := throngCommand(t, args...)
			if got := strings.ReplaceAll(out, name, "FILE"); status == 0 || !strings.HasPrefix(got, "throng: "+c.want) {
				t.Errorf("%s of %.40q: exit status %d, got %q, want %q", args[1], c.text, status, got, c.want)
			}
		}
	}
	for _, text := range []string{"", "# nothing\n", "dev:\n", "control: {}\n", "control:\n  warm: &w 1\n  max: *w\n"} {
		if status, out := throngCommand(t, "config", "check", configFor(t, text)); status != 0 || !strings.HasSuffix(out, " is good\n") {
			t.Errorf("%q: exit status %d, got %q, want it to be good", text, status, out)
		}
	}
	if status, out := throngCommand(t, "config", "check", filepath.Join(t.TempDir(), "none.yaml")); status == 0 || !strings.Contains(out, "--config: open ") {
		t.Errorf("no file: exit status %d, got %q", status, out)
	}
}

func sectionOf(text string) string {
	for _, s := range sections() {
		if strings.Contains(text, s.name+":") {
			return s.name
		}
	}
	return "dev"
}

// A flag comes before the environment, the environment before the file, the file
// before the default; each value says where it is from, but for secrets what it
// is.
func TestConfigPrecedence(t *testing.T) {
	name := configFor(t, "node:\n  addr: [http://a:1, http://b:2]\n  token: sesame\n  max: 12\n  server-memory: 512\n  log-format: json\n")
	t.Setenv("THRONG_NODE_MAX", "13")
	t.Setenv("THRONG_NODE_SERVER_MEMORY", "1024")
	t.Setenv("THRONG_ADDR", "http://c:3")
	t.Setenv("THRONG_CONFIG", name)
	status, out := throngCommand(t, "config", "show", "node", "--server-memory", "2048")
	if status != 0 {
		t.Fatalf("exit status %d: %s", status, out)
	}
	got := map[string]string{}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 3 {
			got[f[0]] = f[1] + " " + strings.ReplaceAll(f[2], name, "FILE")
		}
	}
	for key, want := range map[string]string{
		"node.addr":          "http://c:3 $THRONG_ADDR",
		"node.token":         "(secret) FILE:3",
		"node.max":           "13 $THRONG_NODE_MAX",
		"node.server-memory": "2048 flag",
		"node.log-format":    "json FILE:6",
		"node.server-cpu":    "1 default",
	} {
		if got[key] != want {
			t.Errorf("%s: got %q, want %q", key, got[key], want)
		}
	}
	if strings.Contains(out, "sesame") {
		t.Errorf("the secret is shown:\n%s", out)
	}
	// A variable of one part says nothing to another.
	if status, out := throngCommand(t, "config", "show", "dev"); status != 0 || !strings.Contains(strings.Join(strings.Fields(out), " "), "dev.max 64 default") {
		t.Errorf("dev: exit status %d, got\n%s", status, out)
	}
	t.Setenv("THRONG_NODE_MAX", "lots")
	if status, out := throngCommand(t, "config", "show", "node"); status == 0 || !strings.Contains(out, `THRONG_NODE_MAX="lots"`) {
		t.Errorf("a bad variable: exit status %d, got %q, want its name and value", status, out)
	}
}

// The page says what the code says. `go test ./cmd/throng -run ConfigurationPage
// -update` writes it.
func TestConfigurationPage(t *testing.T) {
	const name = "../../docs/configuration.md"
	want := configurationPage(t)
	if *updatePage {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the code says: run this test with -update", name)
	}
}

func configurationPage(t *testing.T) string {
	t.Helper()
	var commands cli
	parser, err := newParser(&commands, newFileResolver())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(configurationHead)
	for _, s := range sections() {
		node := s.node(parser.Model)
		fmt.Fprintf(&b, "\n## %s: `throng %s`\n\n%s\n\n", s.name, s.command, node.Help)
		b.WriteString("| key | value | default | meaning | environment |\n| --- | --- | --- | --- | --- |\n")
		for _, f := range node.Flags {
			if settings(node)[f.Name] == nil {
				continue
			}
			if f.Help == "" {
				t.Errorf("%s.%s has no words", s.name, f.Name)
			}
			kind, value := strings.TrimPrefix(kindOf(f), "a "), "none"
			switch {
			case f.HasDefault:
				value = "`" + f.Default + "`"
			case f.IsBool():
				value = "`false`"
			}
			if f.Tag.Has("secret") {
				kind += ", secret"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | `%s` |\n",
				f.Name, kind, value, strings.ReplaceAll(f.Help, "|", `\|`), strings.Join(f.Tag.Envs, "`, `"))
		}
	}
	return b.String()
}

const configurationHead = `# Configuration

<!-- Written by go test ./cmd/throng -run ConfigurationPage -update -->

Each part of a region takes its values from flags, then from the environment, then from a file, then from defaults: the
first that says something counts. The file is YAML with a section for each part, so that one file can serve a whole
deployment; its keys are the flags' names without the dashes, a list stands for values with commas between them.
Relative paths are of the folder that the program is started in.

    control:
      addr: 0.0.0.0:7700
      public: http://control-0.throng:7700
      warm: 20
    node:
      addr: [http://control-0.throng:7700, http://control-1.throng:7700]

    throng serve control --config throng.yaml       # or THRONG_CONFIG=throng.yaml
    throng config check throng.yaml                 # all faults, with file and line
    throng config show control --config throng.yaml # what counts, and where it is from; secrets are masked

A key that is not known, or that is there twice, is refused, as is a value that is not allowed: by file and line, key,
value and what is allowed. The variable of ` + "`control.log-level` is `THRONG_CONTROL_LOG_LEVEL`" + `, and so on.

Where game servers run on Kubernetes, ` + "`control.clusters`" + ` names another file, whose paths are of its own folder:

    clusters:
      - name: eu-1               # unique in the region
        kubeconfig: eu-1.kube    # without it the control plane is a pod of this cluster
        context: admin           # of the kubeconfig; its current one
        namespace: games         # the context's
        fleet: warm              # that new servers are taken from
        weight: 3                # its share beside the others', 1; 0: no new servers
      - name: eu-2
        kubeconfig: eu-2.kube
        fleet: warm
        allocator:               # Agones' allocator service; without it the API server allocates
          url: https://allocator.example
          cert: client.pem       # mTLS: certificate and key of a client
          key: client.key
          ca: allocator-ca.pem   # who signs the service's certificate

Game servers are told what they need by who starts them; creators' and testers' commands take ` + "`--addr`" + ` or THRONG_ADDR
(one URL of a door, or several with commas between them) and ` + "`--token`" + ` or THRONG_TOKEN.
`
