package client

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

const (
	checkoutTime = 6 * time.Second // an older session is waited for
	ownTime      = 4 * time.Second
	auditTime    = 5 * time.Minute
)

// Checkout gives the session a member's profile, and fences older sessions.
func (s *Server) Checkout(ctx context.Context, h throng.Heartbeat, m throng.Member) (throng.Profile, error) {
	req := of(gen.NewCheckoutProfileRequest(s.line.addr, string(h.Session), string(m.Player), gen.CheckoutRequest{
		Heartbeat: gen.HeartbeatOf(h), Epoch: uint64(m.Epoch),
	}))
	p, err := send[gen.Profile](ctx, s.line, checkoutTime, req)
	return p.Root(), err
}

// Save makes a document the next revision of a member's profile.
func (s *Server) Save(ctx context.Context, h throng.Heartbeat, m throng.Member, p throng.Profile) error {
	req := of(gen.NewSaveProfileRequest(s.line.addr, string(h.Session), string(m.Player), saveOf(m, p)))
	_, err := send[nothing](ctx, s.line, ownTime, req)
	return err
}

// Return lets go of a member's profile; a document is saved before.
func (s *Server) Return(ctx context.Context, h throng.Heartbeat, m throng.Member, p throng.Profile) error {
	req := of(gen.NewReturnProfileRequest(s.line.addr, string(h.Session), string(m.Player), saveOf(m, p)))
	_, err := send[nothing](ctx, s.line, ownTime, req)
	return err
}

func saveOf(m throng.Member, p throng.Profile) gen.SaveRequest {
	return gen.SaveRequest{Epoch: uint64(m.Epoch), Revision: uint64(p.Revision), Document: p.Document}
}

// Post posts a transfer in the session's game.
func (s *Server) Post(ctx context.Context, _ throng.Heartbeat, t throng.Transfer) (throng.Receipt, error) {
	req := of(gen.NewPostTransferRequest(s.line.addr, gen.TransferRequestOf(t)))
	r, err := send[gen.Receipt](ctx, s.line, ownTime, req)
	return r.Root(), err
}

// Balance is all that a member owns in the session's game.
func (s *Server) Balance(ctx context.Context, h throng.Heartbeat, m throng.Member) (throng.Holding, error) {
	req := of(gen.NewGetSessionInventoryRequest(s.line.addr, string(h.Session), string(m.Player)))
	i, err := send[gen.Inventory](ctx, s.line, ownTime, req)
	return i.Root(), err
}

// Inventory is what a player owns in a place's game.
func (d *Door) Inventory(ctx context.Context, place throng.PlaceID, p throng.PlayerID) (gen.Inventory, error) {
	req := of(gen.NewGetInventoryRequest(d.line.addr, string(place), string(p)))
	return send[gen.Inventory](ctx, d.line, callTime, req)
}

// Transfers lists a player's newest transfers, the newest first; limit 0: 50.
func (d *Door) Transfers(ctx context.Context, place throng.PlaceID, p throng.PlayerID, limit int) (gen.TransferList, error) {
	req := of(gen.NewListTransfersRequest(d.line.addr, string(place), string(p), &gen.ListTransfersParams{Limit: given(limit)}))
	return send[gen.TransferList](ctx, d.line, callTime, req)
}

// PostTransfer posts a reward or a refund as an owner of the place.
func (d *Door) PostTransfer(ctx context.Context, place throng.PlaceID, t throng.Transfer) (gen.Receipt, error) {
	body := gen.TransferRequestOf(t)
	body.Place = string(place)
	return send[gen.Receipt](ctx, d.line, callTime, of(gen.NewPostTransferRequest(d.line.addr, body)))
}

// Profile returns a player's profile as it was saved in a revision; 0: last.
func (d *Door) Profile(ctx context.Context, place throng.PlaceID, p throng.PlayerID, revision int) (gen.Profile, error) {
	req := of(gen.NewGetProfileRequest(d.line.addr, string(place), string(p), &gen.GetProfileParams{Revision: given(revision)}))
	return send[gen.Profile](ctx, d.line, callTime, req)
}

// Saves lists what is kept of a player's profile.
func (d *Door) Saves(ctx context.Context, place throng.PlaceID, p throng.PlayerID) (gen.SaveList, error) {
	return send[gen.SaveList](ctx, d.line, callTime, of(gen.NewListSavesRequest(d.line.addr, string(place), string(p))))
}

// Restore makes an older save the newest, and returns its revision.
func (d *Door) Restore(ctx context.Context, place throng.PlaceID, p throng.PlayerID, revision uint64) (gen.RestoreRequest, error) {
	req := of(gen.NewRestoreProfileRequest(d.line.addr, string(place), string(p), gen.RestoreRequest{Revision: revision}))
	return send[gen.RestoreRequest](ctx, d.line, callTime, req)
}

// Audit proves the ledger's books, for operators.
func (d *Door) Audit(ctx context.Context) (gen.AuditReport, error) {
	return send[gen.AuditReport](ctx, d.line, auditTime, of(gen.NewAuditRequest(d.line.addr)))
}

// Numbers tells how a place does, for its owners and operators.
func (d *Door) Numbers(ctx context.Context, place throng.PlaceID) (gen.PlaceNumbers, error) {
	return send[gen.PlaceNumbers](ctx, d.line, callTime, of(gen.NewGetNumbersRequest(d.line.addr, string(place))))
}

// Bans lists who is banned, for operators.
func (d *Door) Bans(ctx context.Context, p Page) (gen.BanList, error) {
	return send[gen.BanList](ctx, d.line, callTime, of(gen.NewListBansRequest(d.line.addr, &gen.ListBansParams{After: given(p.After), Limit: given(p.Limit)})))
}

// Ban tells why a player is banned, for operators.
func (d *Door) Ban(ctx context.Context, player throng.PlayerID) (gen.Ban, error) {
	return send[gen.Ban](ctx, d.line, callTime, of(gen.NewGetBanRequest(d.line.addr, string(player))))
}

// LiftBan lets a player in again, for operators.
func (d *Door) LiftBan(ctx context.Context, player throng.PlayerID) (gen.Ban, error) {
	return send[gen.Ban](ctx, d.line, callTime, of(gen.NewLiftBanRequest(d.line.addr, string(player))))
}
