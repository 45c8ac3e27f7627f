package gen

import (
	"fmt"

	"github.com/throng-gg/throng"
)

// maxNews is how many pieces of each kind ReplicaNews has at most.
const maxNews = 1000

// ReplicaNewsOf turns news.
func ReplicaNewsOf(n throng.ReplicaNews) ReplicaNews {
	out := ReplicaNews{}
	for _, o := range n.Orders {
		out.Orders = append(out.Orders, ServerOrder{Server: string(o.Server), Session: string(o.Session), Order: OrderOf(o.Order)})
	}
	for _, id := range n.Took {
		out.Took = append(out.Took, string(id))
	}
	for _, l := range n.Logs {
		out.Logs = append(out.Logs, PlaceLogs{
			Place: string(l.Place), Version: int(l.Version), Session: string(l.Session), Batch: LogBatchOf(l.LogBatch),
		})
	}
	for _, l := range n.Lines {
		out.Lines = append(out.Lines, PlaceLine{Place: string(l.Place), Line: LogLineOf(l.LogLine)})
	}
	return out
}

// Root returns the news. A piece that is not understood is a newer replica's and
// is passed over; too many of a kind are Invalid.
func (n ReplicaNews) Root() (throng.ReplicaNews, error) {
	out := throng.ReplicaNews{}
	for name, count := range map[string]int{
		"orders": len(n.Orders), "took": len(n.Took), "logs": len(n.Logs), "lines": len(n.Lines),
	} {
		if count > maxNews {
			return out, throng.AtField(throng.Invalid, name, "has %d, at most %d are allowed", count, maxNews)
		}
	}
	for _, said := range n.Orders {
		f := &fields{}
		o := throng.ServerOrder{Server: f.server("server", said.Server), Session: check(f, "session", said.Session, throng.ParseSessionID)}
		var err error
		if o.Order, err = said.Order.Root(); err == nil && f.err == nil {
			out.Orders = append(out.Orders, o)
		}
	}
	for _, said := range n.Took {
		if id, err := throng.ParseServerID("took", said); err == nil {
			out.Took = append(out.Took, id)
		}
	}
	for _, said := range n.Logs {
		f := &fields{}
		l := throng.PlaceLogs{Place: check(f, "place", said.Place, throng.ParsePlaceID), Version: throng.Version(f.within("version", said.Version, 1<<31-1))}
		var err error
		if l.LogBatch, err = said.Batch.Root(check(f, "session", said.Session, throng.ParseSessionID)); err == nil && f.err == nil {
			out.Logs = append(out.Logs, l)
		}
	}
	for _, said := range n.Lines {
		f := &fields{}
		l := throng.PlaceLine{Place: check(f, "place", said.Place, throng.ParsePlaceID)}
		var err error
		if l.LogLine, err = said.Line.Root(); err == nil && f.err == nil {
			out.Lines = append(out.Lines, l)
		}
	}
	return out, nil
}

// LogLineOf turns a line of a place's log.
func LogLineOf(line throng.LogLine) LogLine {
	return LogLine{
		Time: line.Time.UTC(), Session: string(line.Session), Version: int(line.Version),
		Level: line.Level.String(), Text: line.Text,
	}
}

// Root returns the line.
func (l LogLine) Root() (throng.LogLine, error) {
	f := &fields{}
	out := throng.LogLine{Time: l.Time, Version: throng.Version(l.Version), Text: l.Text}
	out.Level = check(f, "level", l.Level, throng.ParseLogLevel)
	if l.Session != "" {
		out.Session = check(f, "session", l.Session, throng.ParseSessionID)
	}
	if err := checkLogText("text", l.Text); err != nil {
		f.fail(err)
	}
	return out, f.err
}

// ReplicaQuestionOf turns a question.
func ReplicaQuestionOf(q throng.ReplicaQuestion) ReplicaQuestion {
	out := ReplicaQuestion{Session: string(q.Session), Ticket: string(q.Ticket), Caller: string(q.Caller), Fleet: q.Fleet}
	for _, id := range q.Servers {
		out.Servers = append(out.Servers, string(id))
	}
	return out
}

// Root returns the question.
func (q ReplicaQuestion) Root() (throng.ReplicaQuestion, error) {
	if len(q.Servers) > throng.MaxReplicaServers {
		return throng.ReplicaQuestion{}, throng.AtField(throng.Invalid, "servers",
			"has %d, at most %d are allowed", len(q.Servers), throng.MaxReplicaServers)
	}
	f := &fields{}
	out := throng.ReplicaQuestion{Fleet: q.Fleet}
	for i, said := range q.Servers {
		out.Servers = append(out.Servers, f.server(fmt.Sprintf("servers[%d]", i), said))
	}
	if q.Session != "" {
		out.Session = check(f, "session", q.Session, throng.ParseSessionID)
	}
	if q.Ticket != "" {
		out.Ticket = check(f, "ticket", q.Ticket, throng.ParseTicketID)
	}
	if q.Caller != "" {
		out.Caller = f.player("caller", q.Caller)
	}
	return out, f.err
}

// ReplicaAnswerOf turns an answer.
func ReplicaAnswerOf(a throng.ReplicaAnswer) ReplicaAnswer {
	out := ReplicaAnswer{Held: []string{}, Opening: a.Opening, Joins: a.Joins}
	for _, id := range a.Held {
		out.Held = append(out.Held, string(id))
	}
	for _, server := range a.Fleet {
		out.Fleet = append(out.Fleet, ServerRecordOf(server))
	}
	return out
}

// Root returns the answer.
func (a ReplicaAnswer) Root() (throng.ReplicaAnswer, error) {
	f := &fields{}
	out := throng.ReplicaAnswer{Opening: a.Opening, Joins: a.Joins}
	for _, said := range a.Fleet {
		// One that is not understood is a newer replica's.
		if server, err := said.Root(); err == nil {
			out.Fleet = append(out.Fleet, server)
		}
	}
	for i, said := range a.Held {
		out.Held = append(out.Held, f.server(fmt.Sprintf("held[%d]", i), said))
	}
	return out, f.err
}
