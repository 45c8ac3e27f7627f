package anticheat

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
)

// Bounds of a shard.
const (
	mostPlayers  = 500_000
	mostDevices  = 200_000
	mostMeasures = 512  // of a player
	mostGains    = 256  // of a player
	mostPresses  = 2048 // of a device
	flagTime     = 30 * 24 * time.Hour
)

// Config is what a Keeper is made of.
type Config struct {
	Rules  []Rule // nil: DefaultRules
	Limits Limits
	Bans   Bans
	Orders Orders
	// Report says that nobody is banned or put out: flags are reports.
	Report bool
	// Flagged hears of each flag once it is stored; nil: nobody does. After a crash
	// it hears of it again.
	Flagged func(throng.Ban)
}

// Keeper judges the players of one shard. It is consumer.Keeper.
type Keeper struct {
	cfg    Config
	window int64   // ms: the longest of the rules
	slack  float64 // s: of the rule about teleports

	players map[throng.PlayerID]*player
	devices map[string]*device
	flags   map[string]int64      // ID to when, ms
	pending map[string]throng.Ban // flags that are not carried out yet
	touched map[any]bool          // throng.PlayerID, deviceName: rows that changed
	rows    []consumer.Row        // others that changed
	newest  int64                 // ms
	swept   int64
}

type deviceName string

// player is what counts of one, by time.
type player struct {
	samples []measure
	gains   []gain
}

// device is what its accounts pressed.
type device struct{ presses []press }

// New makes a shard's Keeper.
func New(cfg Config) *Keeper {
	if cfg.Rules == nil {
		cfg.Rules = DefaultRules()
	}
	k := &Keeper{
		cfg: cfg, slack: 1, players: map[throng.PlayerID]*player{}, devices: map[string]*device{},
		flags: map[string]int64{}, pending: map[string]throng.Ban{}, touched: map[any]bool{},
	}
	for i := range cfg.Rules {
		k.window = max(k.window, cfg.Rules[i].Window.Milliseconds())
		if cfg.Rules[i].Kind == KindTeleport {
			k.slack = cfg.Rules[i].Slack.Seconds()
		}
	}
	return k
}

var _ consumer.Keeper = (*Keeper)(nil)

// Apply judges what an event says; see consumer.Keeper.
func (k *Keeper) Apply(e *throng.EventRecord) error {
	at := e.Time.UnixMilli()
	var err error
	switch e.Type { //nolint:exhaustive // the others say nothing of cheats
	case throng.EventMotionSampled:
		err = k.sample(e, at)
	case throng.EventLedgerPosted:
		err = k.posted(e, at)
	case throng.EventInputPattern:
		err = k.pattern(e, at)
	default:
		return nil
	}
	if err == nil {
		k.newest = max(k.newest, at)
	}
	return err
}

func dataOf(e *throng.EventRecord, v any) error {
	if e.Player == "" || strings.ContainsRune(string(e.Player), '/') || len(e.Player) > 64 {
		return throng.AtField(throng.Invalid, "player", "%.70q is no player", e.Player)
	}
	if err := json.Unmarshal(e.Data, v); err != nil {
		return throng.AtField(throng.Invalid, "data", "cannot be read: %w", err)
	}
	return nil
}

func (k *Keeper) player(id throng.PlayerID) (*player, error) {
	p := k.players[id]
	if p == nil {
		if len(k.players) >= mostPlayers {
			return nil, throng.Errorf(throng.Full, "%d players are watched, which is the most", mostPlayers)
		}
		p = &player{}
		k.players[id] = p
	}
	k.touched[id] = true
	return p, nil
}

func (k *Keeper) sample(e *throng.EventRecord, at int64) error {
	var d throng.MotionSampled
	if err := dataOf(e, &d); err != nil {
		return err
	}
	speed, _ := k.cfg.Limits.Speed(e.Place)
	m, err := measured(&d, at, speed, k.slack)
	if err != nil {
		return err
	}
	p, err := k.player(e.Player)
	if err != nil {
		return err
	}
	i, _ := slices.BinarySearchFunc(p.samples, m, func(a, b measure) int { return int(a.at - b.at) })
	p.samples = slices.Insert(p.samples, i, m)
	newest := p.samples[len(p.samples)-1].at
	drop, old := 0, newest-2*k.motionWindow()
	for drop < len(p.samples) && (p.samples[drop].at <= old || len(p.samples)-drop > mostMeasures) {
		drop++
	}
	p.samples = slices.Delete(p.samples, 0, drop)
	for r := range k.cfg.Rules {
		rule := &k.cfg.Rules[r]
		if rule.Kind != KindSpeed && rule.Kind != KindTeleport && rule.Kind != KindInputs {
			continue
		}
		for j := len(p.samples) - 1; j >= 0 && p.samples[j].at >= at; j-- { // each window that it is in
			if score, evidence := judgeMotion(rule, p.samples, p.samples[j].at); score >= 1 {
				k.flag(verdict{rule, e.Player, e.Place, e.Session, p.samples[j].at, score, evidence})
			}
		}
	}
	return nil
}

// motionWindow is the longest of the rules about samples, ms.
func (k *Keeper) motionWindow() (longest int64) {
	for i := range k.cfg.Rules {
		if r := &k.cfg.Rules[i]; r.Kind != KindGain && r.Kind != KindDevice {
			longest = max(longest, r.Window.Milliseconds())
		}
	}
	return longest
}

func (k *Keeper) posted(e *throng.EventRecord, at int64) error {
	var d throng.LedgerPosted
	if err := dataOf(e, &d); err != nil {
		return err
	}
	if d.Kind != throng.TransferReward {
		return nil
	}
	for _, l := range d.Lines {
		if l.Account != string(e.Player) || l.Change <= 0 {
			continue
		}
		most, known := k.cfg.Limits.Most(d.Game, l.Item)
		if !known {
			continue
		}
		p, err := k.player(e.Player)
		if err != nil {
			return err
		}
		p.gains = append(p.gains, gain{at, string(l.Item), l.Change})
		newest := slices.MaxFunc(p.gains, func(a, b gain) int { return int(a.At - b.At) }).At
		p.gains = slices.DeleteFunc(p.gains, func(g gain) bool { return g.At <= newest-2*k.window })
		p.gains = p.gains[max(len(p.gains)-mostGains, 0):]
		k.judgeGains(e, p.gains, gain{at, string(l.Item), most})
	}
	return nil
}

// judgeGains looks at each window that a gain is in; its count is the most that is allowed.
func (k *Keeper) judgeGains(e *throng.EventRecord, all []gain, of gain) {
	for r := range k.cfg.Rules {
		rule := &k.cfg.Rules[r]
		for _, g := range all {
			if rule.Kind != KindGain || g.Item != of.Item || g.At < of.At {
				continue
			}
			if score, evidence := judgeGain(rule, all, of.Item, g.At, of.Count); score >= 1 {
				k.flag(verdict{rule, e.Player, e.Place, e.Session, g.At, score, evidence})
			}
		}
	}
}

func (k *Keeper) pattern(e *throng.EventRecord, at int64) error {
	var d throng.InputPattern
	if err := dataOf(e, &d); err != nil {
		return err
	}
	if d.Source == "" || len(d.Source) > 64 || strings.ContainsRune(d.Source, '/') || len(d.Shingles) > mostShingles {
		return throng.AtField(throng.Invalid, "data", "the source %.70q or its %d shingles cannot be", d.Source, len(d.Shingles))
	}
	dev := k.devices[d.Source]
	if dev == nil {
		if len(k.devices) >= mostDevices {
			return throng.Errorf(throng.Full, "%d devices are watched, which is the most", mostDevices)
		}
		dev = &device{}
		k.devices[d.Source] = dev
	}
	k.touched[deviceName(d.Source)] = true
	for _, h := range d.Shingles {
		dev.presses = append(dev.presses, press{at, e.Player, e.Session, e.Place, h})
	}
	newest := int64(0)
	for _, p := range dev.presses {
		newest = max(newest, p.At)
	}
	for r := range k.cfg.Rules {
		rule := &k.cfg.Rules[r]
		if rule.Kind != KindDevice {
			continue
		}
		dev.presses = slices.DeleteFunc(dev.presses, func(p press) bool { return p.At <= newest-2*rule.Window.Milliseconds() })
		dev.presses = dev.presses[max(len(dev.presses)-mostPresses, 0):]
		if score, evidence, who := judgeDevice(rule, dev.presses, newest); score >= 1 {
			for _, p := range who {
				k.flag(verdict{rule, p.Player, p.Place, p.Session, p.At, score, evidence})
			}
		}
	}
	return nil
}

// flag remembers a verdict, once an hour of a player and rule.
func (k *Keeper) flag(v verdict) {
	id := v.id()
	if _, known := k.flags[id]; known {
		return
	}
	k.flags[id] = v.at
	b := v.ban(k.cfg.Report)
	k.pending[id] = b
	data, err := json.Marshal(b)
	if err != nil {
		panic(err) // strings and numbers that are none but numbers
	}
	k.rows = append(k.rows, consumer.Row{Key: "flag/" + id, Value: data}, consumer.Row{Key: "todo/" + id, Value: data})
}

// Act carries out flags; see consumer.Keeper.
func (k *Keeper) Act(ctx context.Context, _ uint64) error {
	for id, b := range k.pending {
		if err := k.cfg.Bans.Put(ctx, b); err != nil {
			return err
		}
		if !b.Report {
			if err := k.cfg.Orders.Evict(ctx, b.Player, b.Reason); err != nil {
				return err
			}
		}
		if k.cfg.Flagged != nil {
			k.cfg.Flagged(b)
		}
		delete(k.pending, id)
		k.rows = append(k.rows, consumer.Row{Key: "todo/" + id})
	}
	return nil
}

// Restore takes a row: of a player, a device, a flag, or one that is to be carried
// out; see consumer.Keeper.
func (k *Keeper) Restore(r consumer.Row) error {
	kind, id, _ := strings.Cut(r.Key, "/")
	var err error
	switch kind {
	case "player":
		p := &player{}
		head, rest, _ := bytes.Cut(r.Value, []byte{'\n'})
		if err = json.Unmarshal(head, &p.gains); err == nil && len(rest)%measureBytes != 0 {
			err = throng.Errorf(throng.Internal, "%d bytes are no measures", len(rest))
		}
		for ; err == nil && len(rest) > 0; rest = rest[measureBytes:] {
			p.samples = append(p.samples, measureOf(rest))
		}
		k.players[throng.PlayerID(id)] = p
	case "device":
		d := &device{}
		err = json.Unmarshal(r.Value, &d.presses)
		k.devices[id] = d
	case "flag", "todo":
		var b throng.Ban
		err = json.Unmarshal(r.Value, &b)
		if kind == "todo" {
			k.pending[id] = b
		} else {
			k.flags[id] = b.At.UnixMilli()
		}
	default:
		err = throng.Errorf(throng.Internal, "it is of no kind")
	}
	if err != nil {
		return throng.Errorf(throng.Internal, "the stored row %.60q cannot be read: %w", r.Key, err)
	}
	return nil
}

// Changes returns the rows that changed; see consumer.Keeper.
func (k *Keeper) Changes(time.Time) []consumer.Row {
	k.sweep()
	rows := k.rows
	k.rows = nil
	for name := range k.touched {
		switch name := name.(type) {
		case throng.PlayerID:
			row := consumer.Row{Key: "player/" + string(name)}
			if p := k.players[name]; p != nil {
				row.Value = p.encode()
			}
			rows = append(rows, row)
		case deviceName:
			row := consumer.Row{Key: "device/" + string(name)}
			if d := k.devices[string(name)]; d != nil {
				data, err := json.Marshal(d.presses)
				if err != nil {
					panic(err) // strings and numbers
				}
				row.Value = data
			}
			rows = append(rows, row)
		}
	}
	clear(k.touched)
	return rows
}

func (p *player) encode() []byte {
	head := []byte("null")
	if len(p.gains) > 0 {
		var err error
		if head, err = json.Marshal(p.gains); err != nil {
			panic(err) // strings and numbers
		}
	}
	b := append(make([]byte, 0, len(head)+1+measureBytes*len(p.samples)), head...)
	b = append(b, '\n')
	for i := range p.samples {
		b = p.samples[i].append(b)
	}
	return b
}

// sweep forgets players and devices of whom nothing counts any more, and old flags,
// once a minute of the events' time.
func (k *Keeper) sweep() {
	if k.newest < k.swept+60_000 {
		return
	}
	k.swept = k.newest
	old := k.newest - 3*k.window
	for id, p := range k.players {
		if (len(p.samples) == 0 || p.samples[len(p.samples)-1].at < old) && !slices.ContainsFunc(p.gains, func(g gain) bool { return g.At >= old }) {
			delete(k.players, id)
			k.touched[id] = true
		}
	}
	for id, d := range k.devices {
		if !slices.ContainsFunc(d.presses, func(p press) bool { return p.At >= old }) {
			delete(k.devices, id)
			k.touched[deviceName(id)] = true
		}
	}
	for id, at := range k.flags {
		if at < k.newest-flagTime.Milliseconds() {
			delete(k.flags, id)
			k.rows = append(k.rows, consumer.Row{Key: "flag/" + id})
		}
	}
}
