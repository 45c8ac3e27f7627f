package memory

import (
	"context"
	"slices"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// Evict queues an order for the member's epoch unless a later one sits there or
// it is queued already.
func (st *Store) Evict(ctx context.Context, id throng.SessionID, m throng.Member, reason string) (session.Effects, error) {
	var fx session.Effects
	err := st.on(ctx, operation{"Evict", id.Shard(), always}, func(sh *shard, now time.Time) error {
		s := sh.find(id, now)
		if s == nil || s.State == throng.SessionEnded {
			return nil
		}
		fx = s.effects(s.evict(m, reason)...)
		return nil
	})
	return fx, err
}

func (s *pooled) evict(m throng.Member, reason string) []throng.Order {
	if cur, ok := s.seats[m.Player]; ok && cur.epoch > m.Epoch || s.Server == "" {
		return nil
	}
	for _, o := range s.orders {
		if o.Kind == throng.OrderEvict && o.Player == m.Player && o.Epoch >= m.Epoch {
			return nil
		}
	}
	return s.order(throng.Order{Kind: throng.OrderEvict, Player: m.Player, Epoch: m.Epoch, Reason: reason})
}

// order queues an order. When too many are not acknowledged the oldest is
// dropped and the session has to report, by which it comes again.
func (s *pooled) order(o throng.Order) []throng.Order {
	if len(s.orders) == session.MaxOrders {
		s.orders = slices.Delete(s.orders, 0, 1)
		s.suspended = true
	}
	s.lastOrder++
	o.ID = s.lastOrder
	s.orders = append(s.orders, o)
	return []throng.Order{o}
}

// done drops the orders that were carried out. A server that did more orders
// than were given got them from a store that was lost: what is queued here is
// numbered past them.
func (s *pooled) done(upTo uint64) {
	if upTo <= s.lastOrder {
		s.orders = slices.DeleteFunc(s.orders, func(o throng.Order) bool { return o.ID <= upTo })
		return
	}
	s.lastOrder = upTo
	for i := range s.orders {
		s.lastOrder++
		s.orders[i].ID = s.lastOrder
	}
}
