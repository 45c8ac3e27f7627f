package throng

import (
	"strings"
	"testing"
)

func TestCheckDocument(t *testing.T) {
	nested := func(n int) string { return strings.Repeat(`{"a":`, n-1) + "{}" + strings.Repeat("}", n-1) }
	for doc, want := range map[string]string{
		`{}`: "", `{"a":[1,2,{"b":null}],"c":"é"}`: "", " {} \n": "", nested(ProfileDepth): "",
		nested(ProfileDepth + 1): "more than 16 levels",
		"":                       "ends too early", `{"a":1`: "ends too early", `[1]`: "not a JSON object", `1`: "not a JSON object",
		`{} {}`: "goes on after its end", `{} x`: "not JSON", `{"a":"` + "\xff" + `"}`: "not UTF-8", `{"a":01}`: "not JSON",
		`{"a":"` + strings.Repeat("x", ProfileBytes) + `"}`: "at most 400000",
	} {
		err := CheckDocument("document", []byte(doc))
		if (err == nil) != (want == "") || err != nil && (KindOf(err) != Invalid || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.30q: got %v, want %q", doc, err, want)
		}
	}
}

func TestTransferCheck(t *testing.T) {
	ada, bo, gold := Member{"ada", 1}, Member{"bo", 2}, []Amount{{"gold", 1}}
	many := make([]Amount, TransferMost+1)
	for i := range many {
		many[i] = Amount{ItemID("i" + strings.Repeat("x", i)), 1}
	}
	for _, c := range []struct {
		t    Transfer
		want string
	}{
		{Transfer{ID: "a", Kind: TransferReward, First: ada, Gives: gold}, ""},
		{Transfer{ID: "a", Kind: TransferPurchase, First: ada, Offer: "sword", Count: 3}, ""},
		{Transfer{ID: "a", Kind: TransferTrade, First: ada, Second: bo, Takes: []Amount{{"sword#1", 1}}}, ""},
		{Transfer{Kind: TransferReward, First: ada, Gives: gold}, "id"},
		{Transfer{ID: "a", Kind: "gift", First: ada, Gives: gold}, "kind"},
		{Transfer{ID: "a", Kind: TransferReward, First: Member{"ada", 0}, Gives: gold}, "first"},
		{Transfer{ID: "a", Kind: TransferReward, First: ada, Second: bo, Gives: gold}, "second"},
		{Transfer{ID: "a", Kind: TransferTrade, First: ada, Second: ada, Gives: gold}, "himself"},
		{Transfer{ID: "a", Kind: TransferTrade, First: ada, Gives: gold}, "second"},
		{Transfer{ID: "a", Kind: TransferTrade, First: ada, Second: bo}, "nothing"},
		{Transfer{ID: "a", Kind: TransferReward, First: ada, Gives: []Amount{{"gold", 0}}}, "whole number"},
		{Transfer{ID: "a", Kind: TransferReward, First: ada, Gives: []Amount{{"gold", AmountMost + 1}}}, "whole number"},
		{Transfer{ID: "a", Kind: TransferReward, First: ada, Gives: []Amount{{"gold", 1}, {"gold", 2}}}, "each item once"},
		{Transfer{ID: "a", Kind: TransferReward, First: ada, Gives: []Amount{{"Gold", 1}}}, "no item"},
		{Transfer{ID: "a", Kind: TransferReward, First: ada, Gives: []Amount{{"gold#", 1}}}, "no item"},
		{Transfer{ID: "a", Kind: TransferReward, First: ada, Gives: []Amount{{"gold#1", 2}}}, "there is one"},
		{Transfer{ID: "a", Kind: TransferReward, First: ada, Gives: many}, "at most 16"},
		{Transfer{ID: "a", Kind: TransferReward, First: ada, Gives: gold, Offer: "x"}, "purchase only"},
		{Transfer{ID: "a", Kind: TransferPurchase, First: ada, Offer: "sword"}, "count"},
		{Transfer{ID: "a", Kind: TransferPurchase, First: ada, Offer: "sword", Count: -1}, "count"},
	} {
		err := c.t.Check()
		if (err == nil) != (c.want == "") || err != nil && (KindOf(err) != Invalid || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: got %v, want %q", c.t, err, c.want)
		}
	}
}
