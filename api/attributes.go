package api

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// attributesOf checks what a ticket's players bring to the place's own signals
// and returns it in the order of the party. What the caller's access token says
// counts before what the request does; of the others it is the caller's word.
func attributesOf(
	ctx context.Context, t throng.Ticket, req gen.MatchmakeRequest, signals []throng.Signal,
) ([][]throng.Attribute, error) {
	for _, name := range slices.Sorted(maps.Keys(req.PartyAttributes)) {
		if !slices.Contains(t.Party, throng.PlayerID(name)) {
			return nil, throng.AtField(throng.Invalid, "party_attributes", "%q is not in the party", clip(name))
		}
	}
	list := make([][]throng.Attribute, len(t.Party))
	brought := false
	for i, p := range t.Party {
		given, field := req.PartyAttributes[string(p)], "party_attributes."+string(p)
		if p == t.Key.Caller {
			if given != nil {
				return nil, throng.AtField(throng.Invalid, field, "is the caller: it goes into attributes")
			}
			given, field = req.Attributes, "attributes"
		}
		found, err := bring(field, given, signals)
		if err != nil {
			return nil, err
		}
		if p == t.Key.Caller {
			if signed := callerOf(ctx).Attributes; signed != nil {
				found = prefer(*signed, found, signals)
			}
		}
		list[i] = found
		brought = brought || len(found) > 0
	}
	if !brought {
		return nil, nil
	}
	return list, nil
}

// bring reads one player's attributes, by name.
func bring(field string, given map[string]any, signals []throng.Signal) ([]throng.Attribute, error) {
	list := make([]throng.Attribute, 0, min(len(given), throng.MaxSignals))
	for _, name := range slices.Sorted(maps.Keys(given)) {
		at := field + "." + clip(name)
		a, ok := throng.MakeAttribute(name, given[name])
		if !ok {
			return nil, throng.AtField(throng.Invalid, at, "is not a number or a category")
		}
		if err := a.Check(at, signals); err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// prefer puts what is signed before what is said. Signed attributes are for all
// places of the issuer: those that are no signal of this one are left out.
func prefer(signed, said []throng.Attribute, signals []throng.Signal) []throng.Attribute {
	for _, a := range signed {
		if a.Check("", signals) != nil {
			continue
		}
		said = slices.DeleteFunc(said, func(o throng.Attribute) bool { return o.Name == a.Name })
		said = append(said, a)
	}
	slices.SortFunc(said, func(a, b throng.Attribute) int { return strings.Compare(a.Name, b.Name) })
	return said
}
