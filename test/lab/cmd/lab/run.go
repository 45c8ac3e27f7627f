package main

import (
	"fmt"

	"github.com/throng-gg/throng/test/lab"
)

// options are of the lab that is started.
type options struct {
	Control   bool     `help:"A control plane alone, without real pods. Needs no root."`
	FakeNodes int      `help:"How many nodes kwok plays." placeholder:"N"`
	Image     []string `help:"Archives of images for pods." type:"existingfile" placeholder:"FILE"`
}

type runCmd struct{ options }

// Run is a lab's life.
func (r *runCmd) Run(e *env) error {
	s, down, err := r.launch(e)
	if err != nil {
		return err
	}
	defer remove(e.name) // when it is down
	defer down()
	if err := s.save(e.name); err != nil {
		return err
	}
	if _, err := fmt.Fprint(e.out, s.usage()); err != nil {
		return err
	}
	<-e.ctx.Done()
	return nil
}

func (r *runCmd) launch(e *env) (*state, func(), error) {
	if r.Control {
		c, err := lab.Launch(e.ctx, lab.Options{Controllers: true, Scheduler: true, FakeNodes: r.FakeNodes})
		if err != nil {
			return nil, nil, err
		}
		return &state{Kubeconfig: c.Kubeconfig, Dir: c.Dir, URL: c.URL}, c.Down, nil
	}
	n, err := lab.LaunchNode(e.ctx, lab.NodeOptions{FakeNodes: r.FakeNodes, Images: r.Image})
	if err != nil {
		return nil, nil, err
	}
	return &state{Kubeconfig: n.Kubeconfig, Dir: n.Dir, URL: n.URL, IP: n.IP, Machine: n.Machine}, n.Down, nil
}
