package dynamo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/profile"
)

// slots take turns: one more than are kept, so that a save that comes to nothing
// spoils none of them.
const slots = profile.Kept + 1

// Profiles is the part of a Store that keeps profiles.
type Profiles struct{ s *Store }

var _ profile.Mirror = Profiles{}

// Profiles returns the part that keeps profiles.
func (s *Store) Profiles() Profiles { return Profiles{s} }

func profilePK(k profile.Key) string { return string(k.Game) + "/" + string(k.Player) }

func headKey(k profile.Key) item { return keyOf(profilePK(k), "H") }

func slotKey(k profile.Key, r throng.Revision) item {
	return keyOf(profilePK(k), fmt.Sprintf("S%02d", r%slots))
}

func headOf(i item) profile.Head {
	return profile.Head{
		Fence: throng.Epoch(i.number("f")), Holder: throng.SessionID(i.text("h")), Returned: i.flag("r"), Revision: throng.Revision(i.number("v")),
	}
}

func (p Profiles) head(ctx context.Context, k profile.Key) (profile.Head, error) {
	i, err := p.s.get(ctx, p.s.profiles, headKey(k))
	return headOf(i), err
}

// Head returns what is known of a profile.
func (p Profiles) Head(ctx context.Context, k profile.Key) (h profile.Head, err error) {
	err = p.s.again(ctx, "look at a profile", func(ctx context.Context) error {
		h, err = p.head(ctx, k)
		return err
	})
	return h, err
}

// Checkout sets fence and holder.
func (p Profiles) Checkout(ctx context.Context, k profile.Key, fence throng.Epoch, holder throng.SessionID) (h profile.Head, err error) {
	err = p.s.again(ctx, "check a profile out", func(ctx context.Context) error {
		i, err := p.s.update(ctx, &dynamodb.UpdateItemInput{
			TableName: &p.s.profiles, Key: headKey(k), UpdateExpression: aws.String("SET f = :f, h = :h, r = :no"),
			ConditionExpression:       aws.String("attribute_not_exists(pk) OR f < :f OR (f = :f AND h = :h)"),
			ExpressionAttributeValues: item{":f": number(fence), ":h": text(string(holder)), ":no": flag(false)},
			ReturnValues:              types.ReturnValueAllNew,
		})
		if !refused(err) {
			h = headOf(i)
			return err
		}
		if h, err = p.head(ctx, k); err != nil {
			return err
		}
		if err := profile.MayCheckout(k, h, fence, holder); err != nil {
			return err
		}
		return errChanged
	})
	return h, err
}

// Save stores the next save.
func (p Profiles) Save(ctx context.Context, k profile.Key, s profile.Save, returned bool) error {
	return p.s.again(ctx, "save a profile", func(ctx context.Context) error {
		h, err := p.head(ctx, k)
		if err != nil {
			return err
		}
		if s.Revision == h.Revision && s.Revision > 0 { // repeated, or the first try got through
			was, err := p.slot(ctx, k, s.Revision)
			if err != nil {
				return err
			}
			return profile.MayRepeat(k, h, was, s, returned)
		}
		if err := profile.MaySave(k, h, s); err != nil {
			return err
		}
		if err := p.putSlot(ctx, k, s); err != nil {
			return err
		}
		_, err = p.s.update(ctx, &dynamodb.UpdateItemInput{
			TableName: &p.s.profiles, Key: headKey(k), UpdateExpression: aws.String("SET v = :v, r = :r"),
			ConditionExpression: aws.String("f = :f AND h = :h AND r = :no AND (v = :was OR (:was = :zero AND attribute_not_exists(v)))"),
			ExpressionAttributeValues: item{
				":v": number(s.Revision), ":was": number(s.Revision - 1), ":zero": number(0), ":r": flag(returned), ":no": flag(false),
				":f": number(s.Fence), ":h": text(string(s.Holder)),
			},
		})
		return changed(err)
	})
}

// changed makes a refused condition a reason to read again.
func changed(err error) error {
	if refused(err) {
		return errChanged
	}
	return err
}

// putSlot writes a save to its slot, unless a newer session has been there.
func (p Profiles) putSlot(ctx context.Context, k profile.Key, s profile.Save) error {
	return p.putSlotIf(ctx, k, s, "attribute_not_exists(pk) OR f < :f OR (f = :f AND v <= :v)")
}

// putSlotIf writes a save to its slot on a condition on the one that is there, with :f
// and :v of the new one.
func (p Profiles) putSlotIf(ctx context.Context, k profile.Key, s profile.Save, condition string) error {
	i := slotKey(k, s.Revision)
	i["f"], i["h"], i["v"] = number(s.Fence), text(string(s.Holder)), number(s.Revision)
	i["at"], i["n"], i["d"] = number(s.SavedAt.UnixMilli()), number(s.Size), blob(s.Data)
	return changed(p.s.put(ctx, &dynamodb.PutItemInput{
		TableName: &p.s.profiles, Item: i, ConditionExpression: &condition,
		ExpressionAttributeValues: item{":f": number(s.Fence), ":v": number(s.Revision)},
	}))
}

// Copy stores a newer profile of another store: the save first, as Save does.
func (p Profiles) Copy(ctx context.Context, k profile.Key, h profile.Head, s *profile.Save) error {
	if err := profile.MayCopy(k, h, s); err != nil {
		return err
	}
	return p.s.again(ctx, "copy a profile", func(ctx context.Context) error {
		i, err := p.s.get(ctx, p.s.profiles, headKey(k))
		if err != nil {
			return err
		}
		was := headOf(i)
		if !profile.Newer(h, was) {
			return nil
		}
		if s != nil {
			// A session that lost this profile may have left a save of a higher epoch.
			if err := p.putSlotIf(ctx, k, *s, "attribute_not_exists(pk) OR f < :f OR v <= :v"); err != nil {
				return err
			}
		}
		next := headKey(k)
		next["f"], next["h"], next["r"], next["v"] = number(h.Fence), text(string(h.Holder)), flag(h.Returned), number(h.Revision)
		return changed(p.s.put(ctx, &dynamodb.PutItemInput{
			TableName: &p.s.profiles, Item: next,
			ConditionExpression: aws.String("attribute_not_exists(pk) OR (f = :f AND r = :r AND (v = :v OR (:v = :zero AND attribute_not_exists(v))))"),
			ExpressionAttributeValues: item{
				":f": number(was.Fence), ":r": flag(was.Returned), ":v": number(was.Revision), ":zero": number(0),
			},
		}))
	})
}

// Return lets go of a profile.
func (p Profiles) Return(ctx context.Context, k profile.Key, fence throng.Epoch, holder throng.SessionID) error {
	return p.s.again(ctx, "return a profile", func(ctx context.Context) error {
		_, err := p.s.update(ctx, &dynamodb.UpdateItemInput{
			TableName: &p.s.profiles, Key: headKey(k), UpdateExpression: aws.String("SET r = :yes"), ConditionExpression: aws.String("f = :f AND h = :h"),
			ExpressionAttributeValues: item{":f": number(fence), ":h": text(string(holder)), ":yes": flag(true)},
		})
		if !refused(err) {
			return err
		}
		h, err := p.head(ctx, k)
		if err != nil {
			return err
		}
		if err := profile.MayReturn(k, h, fence, holder); err != nil {
			return err
		}
		return errChanged
	})
}

// slot reads a save. NotFound: its slot has another one.
func (p Profiles) slot(ctx context.Context, k profile.Key, r throng.Revision) (profile.Save, error) {
	i, err := p.s.get(ctx, p.s.profiles, slotKey(k, r))
	if err != nil {
		return profile.Save{}, err
	}
	s := saveOf(i)
	if i == nil || s.Revision != r {
		return profile.Save{}, throng.Errorf(throng.NotFound, "save %d is not kept", r)
	}
	return s, nil
}

func saveOf(i item) profile.Save {
	return profile.Save{
		Revision: throng.Revision(i.number("v")), Fence: throng.Epoch(i.number("f")), Holder: throng.SessionID(i.text("h")),
		SavedAt: time.UnixMilli(i.number("at")).UTC(), Size: int(i.number("n")), Data: i.blob("d"),
	}
}

// Saved returns a save.
func (p Profiles) Saved(ctx context.Context, k profile.Key, r throng.Revision) (s profile.Save, err error) {
	err = p.s.again(ctx, "read a save", func(ctx context.Context) error {
		h, err := p.head(ctx, k)
		if err != nil {
			return err
		}
		want := r
		if want == 0 {
			want = h.Revision
		}
		if !profile.IsKept(h, want) {
			return throng.Errorf(throng.NotFound, "save %d is not kept", want)
		}
		s, err = p.slot(ctx, k, want)
		return err
	})
	return s, err
}

// Saves lists what is kept.
func (p Profiles) Saves(ctx context.Context, k profile.Key) (list []profile.Save, err error) {
	err = p.s.again(ctx, "list saves", func(ctx context.Context) error {
		list = nil
		h, err := p.head(ctx, k)
		if err != nil {
			return err
		}
		return p.s.query(ctx, span{p.s.profiles, profilePK(k), "S", "S~"}, queryOptions{visit: func(i item) (bool, error) {
			if s := saveOf(i); profile.IsKept(h, s.Revision) {
				s.Data = nil
				list = append(list, s)
			}
			return true, nil
		}})
	})
	slices.SortFunc(list, func(a, b profile.Save) int { return int(b.Revision) - int(a.Revision) })
	return list, err
}
