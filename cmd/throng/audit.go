package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/bolt"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/ledger"
)

// doorFile is where a control plane that has the folder for itself leaves the URL
// of its door.
const doorFile = "door.url"

// auditCmd proves the ledger's books.
type auditCmd struct {
	Data string `type:"path" help:"A data folder, instead of a region: its file is read, or the platform that has it open is asked." placeholder:"DIR"`
	JSON bool   `help:"Print JSON: {transfers, sum, problems, ...}."`
	doorFlags
}

// Run prints what was found, and fails when something is wrong.
func (c *auditCmd) Run(e *env) error {
	report, err := c.audit(e)
	if err != nil {
		return err
	}
	if c.JSON {
		err = writeJSON(e.out, report)
	} else {
		c.text(e, report)
	}
	if err == nil && (report.Sum != 0 || len(report.Problems) > 0) {
		return errSilent
	}
	return err
}

func (c *auditCmd) text(e *env, r gen.AuditReport) {
	until := ""
	if !r.Before.IsZero() {
		until = " up to " + r.Before.Format(time.RFC3339)
	}
	fmt.Fprintf(e.out, "%d transfers%s, %d accounts, %d unique items; all balances sum to %d\n", r.Transfers, until, r.Accounts, r.Items, r.Sum)
	for _, p := range r.Problems {
		fmt.Fprintf(e.out, "  %s\n", p)
	}
	if len(r.Problems) == 0 {
		fmt.Fprintln(e.out, "nothing is wrong")
	}
}

func (c *auditCmd) audit(e *env) (gen.AuditReport, error) {
	if c.Data == "" {
		door, err := c.door(e, "operator", api.RoleOperator)
		if err != nil {
			return gen.AuditReport{}, err
		}
		return door.Audit(e.ctx)
	}
	// A platform that starts or ends has the file for a moment and no door.
	var err error
	for try := range 20 {
		if try > 0 {
			select {
			case <-e.ctx.Done():
				return gen.AuditReport{}, e.ctx.Err()
			case <-time.After(250 * time.Millisecond):
			}
		}
		var report gen.AuditReport
		if report, err = c.file(e); err == nil || throng.KindOf(err) != throng.Unavailable {
			return report, err
		}
		var running error
		if report, running = c.running(e); running == nil {
			return report, nil
		}
		err = errors.Join(err, running)
	}
	return gen.AuditReport{}, err
}

// file audits the folder's file, if nobody has it.
func (c *auditCmd) file(e *env) (gen.AuditReport, error) {
	store, err := bolt.Open(bolt.Config{Path: filepath.Join(c.Data, ownFile), ReadOnly: true})
	if err != nil {
		return gen.AuditReport{}, err
	}
	report, err := ledger.Audit(e.ctx, ledger.AuditConfig{Books: store.Ledger(), Now: time.Now})
	return gen.AuditReportOf(report), errors.Join(err, store.Close())
}

// running asks the platform that has the folder open, as an operator whom the
// folder's secret makes.
func (c *auditCmd) running(e *env) (gen.AuditReport, error) {
	url, err := os.ReadFile(filepath.Join(c.Data, doorFile))
	if err != nil {
		return gen.AuditReport{}, fmt.Errorf("find the platform that has %s open: %w", c.Data, err)
	}
	secrets, err := ringFlags{Data: c.Data}.secrets()
	if err != nil {
		return gen.AuditReport{}, err
	}
	token, err := secrets.PlayerToken("auditor", api.RoleOperator, 10*time.Minute)
	if err != nil {
		return gen.AuditReport{}, err
	}
	flags := c.doorFlags
	flags.Addr, flags.Token = strings.TrimSpace(string(url)), token
	var door *client.Door
	if door, err = flags.door(e, "", ""); err != nil {
		return gen.AuditReport{}, err
	}
	return door.Audit(e.ctx)
}
