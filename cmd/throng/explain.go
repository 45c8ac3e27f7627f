package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/match"
)

// explainCmd says how a ticket was answered.
type explainCmd struct {
	Ticket string `arg:"" help:"The ticket."`
	Caller string `help:"Whose ticket it is; without it, of any player." placeholder:"PLAYER"`
	Replay bool   `help:"Make each choice again from what was recorded; exit status 1 when one comes out otherwise."`
	JSON   bool   `help:"Print JSON."`
	doorFlags
}

// Run prints what is remembered.
func (c *explainCmd) Run(e *env) error {
	ticket, err := throng.ParseTicketID("TICKET", c.Ticket)
	if err != nil {
		return err
	}
	if c.Caller != "" {
		if _, err := throng.ParsePlayerID("--caller", c.Caller); err != nil {
			return err
		}
	}
	door, err := c.door(e, "operator", api.RoleOperator)
	if err != nil {
		return err
	}
	list, err := door.Joins(e.ctx, ticket, throng.PlayerID(c.Caller))
	if err != nil {
		return err
	}
	if c.JSON {
		if err := writeJSON(e.out, list); err != nil {
			return err
		}
	} else {
		for _, r := range list.Joins {
			explain(e.out, r)
		}
	}
	if !c.Replay {
		return nil
	}
	to := e.out
	if c.JSON {
		to = e.err
	}
	return replay(to, list.Joins)
}

// explain writes one record for people.
func explain(w io.Writer, r throng.JoinRecord) {
	fmt.Fprintf(w, "ticket %s of %s at %s\n", r.Ticket, r.Caller, r.At.Local().Format("2006-01-02 15:04:05.000"))
	fmt.Fprintf(w, "  %s, version %d, %s, %s, region %s", r.Place, r.Version, r.Mode, plural(r.Players, "player"), r.Region)
	if r.Process != "" {
		fmt.Fprintf(w, ", matchmaker %s", r.Process)
	}
	if len(r.Party) > 1 {
		fmt.Fprintf(w, "\n  party: %s", strings.Join(names(r.Party), ", "))
	}
	switch r.Code {
	case "ok":
		fmt.Fprintf(w, "\n  seated in %s after %.1f ms\n\n", r.Session, r.TookMs)
	default:
		fmt.Fprintf(w, "\n  not seated: %s after %.1f ms: %s\n\n", r.Code, r.TookMs, r.Detail)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for i, s := range r.Steps {
		words := string(s.Session)
		if s.Code != "" {
			words = strings.TrimSpace(words + " refused: " + s.Code)
		}
		if i == 0 && s.Step == throng.StepAdmitted {
			words = fmt.Sprintf("%s under way", plural(r.Under, "ticket"))
		}
		fmt.Fprintf(t, "  %10.1f ms\t%s\t%s\n", s.AfterMs, s.Step, strings.TrimSpace(words+"  "+s.Detail))
	}
	_ = t.Flush()
	explainRegions(w, r)
	for _, d := range r.Decisions {
		explainDecision(w, d)
	}
	fmt.Fprintln(w)
}

// explainRegions says how the door chose a region.
func explainRegions(w io.Writer, r throng.JoinRecord) {
	if len(r.Regions) == 0 {
		return
	}
	fmt.Fprintf(w, "\n  %s, in the order in which they are tried:\n", plural(len(r.Regions), "region"))
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "  REGION\tSCORE\tFILL\tLATENCY\tROUND TRIP\tWHY")
	for _, c := range r.Regions {
		far, why := "not measured", c.Why
		if c.Latency >= 0 {
			far = fmt.Sprintf("%.1f ms", c.Latency)
		}
		switch {
		case why == "" && c.Open:
			why = "a session has room"
		case why == "":
			why = "a new session"
		}
		if c.Code != "" {
			why += "; tried: " + c.Code
		} else if !c.Try {
			why += "; not tried"
		}
		fmt.Fprintf(t, "  %s\t%.3f\t%.2f\t%.2f\t%s\t%s\n", c.Region, c.Score, c.Fill, c.Near, far, why)
	}
	_ = t.Flush()
}

func names[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func explainDecision(w io.Writer, d throng.Decision) {
	fmt.Fprintf(w, "\n  choice at %.1f ms: %s, number %d in line", d.AfterMs, plural(d.Seats, "seat"), d.Line)
	if d.Openings > 0 {
		fmt.Fprintf(w, ", waited for %s", plural(d.Openings, "opening"))
	}
	k := d.Counts
	fmt.Fprintf(w, "\n  %s: %d full, %d too small for the party, %d scored, %d within 1 %% of the best\n",
		plural(k.Sessions, "session"), k.Full, k.Small, k.Scored, k.Ties)
	if len(d.Latencies) > 0 {
		fmt.Fprintf(w, "  measured: %s\n", latenciesText(d.Latencies))
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "  SESSION\tSCORE\tFREE\tFILL ×%g\tLATENCY ×%g\tFRIENDS ×%g", d.Weights.Fill, d.Weights.Latency, d.Weights.Friends)
	for _, wish := range d.Wishes {
		fmt.Fprintf(t, "\t%s ×%g", wishText(wish), wish.Signal.Weight)
	}
	fmt.Fprintln(t, "\tWHY")
	for _, c := range d.Candidates {
		fmt.Fprintf(t, "  %s\t%.3f\t%d/%d\t%.2f\t%.2f\t%.2f", c.Session, c.Score, c.Free, c.Capacity, c.Signals.Fill, c.Signals.Latency, c.Signals.Friends)
		for i := range d.Wishes {
			like := 0.0
			if i < len(c.Signals.Own) {
				like = c.Signals.Own[i]
			}
			fmt.Fprintf(t, "\t%.2f", like)
		}
		fmt.Fprintf(t, "\t%s\n", why(d, c))
	}
	_ = t.Flush()
	for _, id := range d.Refused {
		fmt.Fprintf(w, "  %s had refused before\n", id)
	}
}

// latenciesText is like "eu 21.5 ms, us 110.0 ms", the nearest first.
func latenciesText(all map[throng.RegionID]float64) string {
	regions := slices.SortedFunc(maps.Keys(all), func(a, b throng.RegionID) int {
		return cmp.Or(cmp.Compare(all[a], all[b]), cmp.Compare(a, b))
	})
	out := make([]string, len(regions))
	for i, id := range regions {
		out[i] = fmt.Sprintf("%s %.1f ms", id, all[id])
	}
	return strings.Join(out, ", ")
}

// wishText is like "skill 1220" or "language en".
func wishText(w throng.Wish) string {
	if w.Signal.Kind == throng.SignalNumber {
		return fmt.Sprintf("%s %g", w.Signal.Name, w.Number)
	}
	return w.Signal.Name + " " + w.Category
}

// why is a candidate's fate in words.
func why(d throng.Decision, c throng.Candidate) string {
	words := "lower score"
	switch {
	case c.Session == d.Chosen && d.Counts.Ties > 1:
		words = fmt.Sprintf("chosen by chance, of %d as good", d.Counts.Ties)
	case c.Session == d.Chosen:
		words = "chosen"
	case c.Tie:
		words = "as good, not drawn"
	}
	if c.Kept {
		words += "; last seats, kept for friends"
	}
	return words
}

// replay makes the recorded choices again.
func replay(w io.Writer, list []throng.JoinRecord) error {
	other := 0
	for _, r := range list {
		for _, d := range r.Decisions {
			if r.Process == "" && d.Candidates != nil && d.Candidates[0].Score == 0 {
				return throng.Errorf(throng.Denied, "what a choice was made from is for operators to see")
			}
			got, err := match.Replay(d)
			switch {
			case err != nil:
				other++
				fmt.Fprintf(w, "%s at %.1f ms: cannot be made again: %v\n", r.Ticket, d.AfterMs, err)
			case got != d.Chosen:
				other++
				fmt.Fprintf(w, "%s at %.1f ms: %s now, it was %s\n", r.Ticket, d.AfterMs, got, d.Chosen)
			default:
				fmt.Fprintf(w, "%s at %.1f ms: the same choice again, %s\n", r.Ticket, d.AfterMs, got)
			}
		}
	}
	if other > 0 {
		return errSilent
	}
	return nil
}
