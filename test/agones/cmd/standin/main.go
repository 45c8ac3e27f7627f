// Command standin runs the stand-in for Agones: all of it on a cluster, or the
// sidecar of one game server, or a game server for tests.
//
//	standin run [--kubeconfig FILE] [--host IP] [--real-pods --image IMAGE] ...
//	standin sidecar --http-port 9358
//	standin game
//
// In a Pod, run needs the rights of cluster-admin and --host=$(POD_IP).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"

	"github.com/throng-gg/throng/test/agones"
	"github.com/throng-gg/throng/test/agones/control"
	"github.com/throng-gg/throng/test/agones/object"
	"github.com/throng-gg/throng/test/agones/sidecar"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // the root of all
	defer stop()
	err := run(ctx, os.Args[1:])
	if code, ok := errors.AsType[exitError](err); ok {
		os.Exit(int(code)) //nolint:gocritic // nothing is left to stop
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "standin:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "run":
			return all(ctx, args[1:])
		case "sidecar":
			return side(ctx, args[1:])
		case "game":
			return playGame(ctx)
		}
	}
	return errors.New("say run, sidecar or game")
}

// connect reads a kubeconfig, or what a Pod has if there is none.
func connect(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		return rest.InClusterConfig()
	}
	return clientcmd.BuildConfigFromFlags("", kubeconfig)
}

func all(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("run", flag.ContinueOnError)
	kubeconfig := fs.String("kubeconfig", "", "file; empty: this Pod's account")
	o := agones.Options{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	fs.StringVar(&o.Host, "host", "", "address of this process as the API server sees it (default 127.0.0.1)")
	fs.DurationVar(&o.BatchWait, "batch-wait", 500*time.Millisecond, "how long allocations are collected")
	fs.DurationVar(&o.Ready, "ready", 0, "from Scheduled to Ready, of fake servers")
	fs.BoolVar(&o.Straight, "straight", false, "fake servers skip the states before Ready")
	fs.StringVar(&o.SDKImage, "image", "", "image of the sidecar, with this command as entry point")
	pods := fs.Bool("real-pods", false, "game servers are Pods that run")
	paper := fs.Bool("paper-pods", false, "game servers have Pods that nothing waits for")
	mode := fs.String("allocator", "mtls", "how the allocator service listens: mtls, tls or http")
	fs.IntVar(&o.AllocatorPort, "allocator-port", 0, "its port; 0: any")
	if err := fs.Parse(args); err != nil {
		return err
	}
	o.Allocator = agones.Mode(*mode)
	switch {
	case *pods && o.SDKImage == "":
		return errors.New("--real-pods needs --image")
	case *pods:
		o.Pods = control.RealPods
		o.Nodes = []control.Node{{}} // ports are given once in the cluster
	case *paper:
		o.Pods = control.PaperPods
	}
	cfg, err := connect(*kubeconfig)
	if err != nil {
		return err
	}
	s, err := agones.Start(ctx, cfg, o)
	if err != nil {
		return err
	}
	defer s.Close()
	addr, err := s.Allocator()
	if err != nil {
		return err
	}
	o.Log.InfoContext(ctx, "stand-in for Agones runs", "allocator", addr.URL)
	<-ctx.Done()
	return nil
}

func side(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("sidecar", flag.ContinueOnError)
	kubeconfig := fs.String("kubeconfig", "", "file; empty: this Pod's account")
	port := fs.Int("http-port", 9358, "port of the REST API, on localhost")
	fs.Int("grpc-port", 9357, "not served")
	health := fs.Int("health-port", 8080, "port of the kubelet's probes")
	name := fs.String("gameserver-name", env("GAMESERVER_NAME"), "the game server")
	namespace := fs.String("pod-namespace", env("POD_NAMESPACE"), "its namespace")
	delay := fs.Duration("requests-rate-limit", rateLimit(), "how long writes are collected")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *name == "" || *namespace == "" {
		return errors.New("GAMESERVER_NAME and POD_NAMESPACE are not set")
	}
	cfg, err := connect(*kubeconfig)
	if err != nil {
		return err
	}
	clients, err := object.NewClients(cfg)
	if err != nil {
		return err
	}
	kube, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	events := record.NewBroadcaster(record.WithContext(ctx))
	defer events.Shutdown()
	events.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: kube.CoreV1().Events("")})
	return agones.Sidecar(ctx, sidecar.Config{
		Servers: clients.GameServers, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Events:    events.NewRecorder(object.NewScheme(), corev1.EventSource{Component: "gameserver-sidecar"}),
		Namespace: *namespace, Name: *name, Delay: *delay,
	}, net.JoinHostPort("localhost", strconv.Itoa(*port)), net.JoinHostPort("", strconv.Itoa(*health)))
}

func env(name string) string { return os.Getenv(name) } //nolint:forbidigo // this is a command

func rateLimit() time.Duration {
	d, err := time.ParseDuration(env("REQUESTS_RATE_LIMIT"))
	if err != nil {
		return 500 * time.Millisecond
	}
	return d
}
