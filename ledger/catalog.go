package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/throng-gg/throng"
)

// CatalogFile is where a place's catalog stands among its files.
const CatalogFile = "catalog.yaml"

// Bounds of a catalog.
const (
	maxCatalog = 64 << 10 // bytes of the file
	maxGoods   = 256      // currencies and items
	maxOffers  = 256
)

// Catalog says what can be owned in a game, and what can be bought.
type Catalog struct {
	Revision throng.Revision         `json:"revision"` // 0: not stored yet
	Goods    map[throng.ItemID]Good  `json:"goods"`
	Offers   map[throng.ItemID]Offer `json:"offers"`
}

// Good is a currency or a kind of item.
type Good struct {
	Kind GoodKind `json:"kind"`
	Most int64    `json:"most"` // that one player can have
}

// GoodKind is how a good is owned.
type GoodKind string

// The kinds of goods.
const (
	Currency  GoodKind = "currency"
	Stackable GoodKind = "stackable"
	UniqueOne GoodKind = "unique" // each one is an item of its own
)

// Offer is what can be bought.
type Offer struct {
	Price []throng.Amount `json:"price"` // by item; none: it is free
	Gives []throng.Amount `json:"gives"` // by item
}

// ParseCatalog reads catalog.yaml:
//
//	currencies: {gold: {most: 1000000}}
//	items:      {potion: {most: 99}, sword: {unique: true}}
//	offers:     {sword: {price: {gold: 100}, gives: {sword: 1}}}
//
// Its error names file and line.
func ParseCatalog(data []byte) (Catalog, error) {
	if len(data) > maxCatalog {
		return Catalog{}, throng.AtField(throng.Invalid, CatalogFile, "has %d bytes, at most %d are allowed", len(data), maxCatalog)
	}
	var file struct {
		Currencies map[string]goodText  `yaml:"currencies"`
		Items      map[string]goodText  `yaml:"items"`
		Offers     map[string]offerText `yaml:"offers"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return Catalog{}, catalogSyntax(err)
	}
	c := Catalog{Goods: map[throng.ItemID]Good{}, Offers: map[throng.ItemID]Offer{}}
	for _, section := range []struct {
		name string
		all  map[string]goodText
	}{{"currencies", file.Currencies}, {"items", file.Items}} {
		for _, name := range slices.Sorted(maps.Keys(section.all)) {
			if err := c.addGood(section.name, name, section.all[name]); err != nil {
				return Catalog{}, err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(file.Offers)) {
		if err := c.addOffer(name, file.Offers[name]); err != nil {
			return Catalog{}, err
		}
	}
	if len(c.Goods) > maxGoods || len(c.Offers) > maxOffers {
		return Catalog{}, throng.AtField(throng.Invalid, CatalogFile, "has %d currencies and items and %d offers, at most %d and %d are allowed",
			len(c.Goods), len(c.Offers), maxGoods, maxOffers)
	}
	return c, nil
}

// goodText is a good as the file has it.
type goodText struct {
	line   int
	Most   *int64 `yaml:"most"`
	Unique bool   `yaml:"unique"`
}

// UnmarshalYAML keeps the line.
func (g *goodText) UnmarshalYAML(n *yaml.Node) error {
	type plain goodText
	if n.ShortTag() != "!!null" {
		if err := onlyKeys(n, "most", "unique"); err != nil {
			return err
		}
		if err := n.Decode((*plain)(g)); err != nil {
			return err
		}
	}
	g.line = n.Line
	return nil
}

// offerText is an offer as the file has it.
type offerText struct {
	line  int
	Price map[string]int64 `yaml:"price"`
	Gives map[string]int64 `yaml:"gives"`
}

// UnmarshalYAML keeps the line.
func (o *offerText) UnmarshalYAML(n *yaml.Node) error {
	type plain offerText
	if err := onlyKeys(n, "price", "gives"); err != nil {
		return err
	}
	if err := n.Decode((*plain)(o)); err != nil {
		return err
	}
	o.line = n.Line
	return nil
}

// onlyKeys refuses a mapping's keys that are not known: a decoder's strictness
// does not reach below an UnmarshalYAML.
func onlyKeys(n *yaml.Node, known ...string) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: keys with values are expected", n.Line) //nolint:err113 // catalogSyntax takes it apart
	}
	for i := 0; i < len(n.Content); i += 2 {
		if !slices.Contains(known, n.Content[i].Value) {
			return fmt.Errorf("line %d: %.40q is not known here; known are %s", n.Content[i].Line, n.Content[i].Value, strings.Join(known, ", "))
		}
	}
	return nil
}

// catalogSyntax takes the line out of the parser's words.
func catalogSyntax(err error) error {
	text := err.Error()
	if _, rest, ok := strings.Cut(text, "line "); ok {
		if number, why, ok := strings.Cut(rest, ": "); ok {
			if _, err := strconv.Atoi(number); err == nil {
				return throng.AtField(throng.Invalid, CatalogFile+":"+number, "%.300s", why)
			}
		}
	}
	return throng.AtField(throng.Invalid, CatalogFile, "%.300s", text)
}

func lineAt(line int) string { return CatalogFile + ":" + strconv.Itoa(max(line, 1)) }

func (c Catalog) addGood(section, name string, text goodText) error {
	id, err := throng.ParseItemID(section, name)
	at := lineAt(text.line)
	switch {
	case err != nil:
		return throng.AtField(throng.Invalid, at, "%w", err)
	case IsUnique(id):
		return throng.AtField(throng.Invalid, at, "%s.%s: a catalog has kinds of items, not single ones", section, name)
	case section == "currencies" && text.Unique:
		return throng.AtField(throng.Invalid, at, "currencies.%s: a currency is not unique", name)
	}
	if _, twice := c.Goods[id]; twice {
		return throng.AtField(throng.Invalid, at, "%s.%s: is a currency already", section, name)
	}
	g := Good{Kind: Stackable, Most: throng.AmountMost}
	switch {
	case section == "currencies":
		g.Kind = Currency
	case text.Unique:
		g = Good{Kind: UniqueOne, Most: MaxUniques}
	}
	if text.Most != nil {
		if *text.Most < 1 || *text.Most > g.Most {
			return throng.AtField(throng.Invalid, at, "%s.%s.most: must be 1 to %d, is %d", section, name, g.Most, *text.Most)
		}
		g.Most = *text.Most
	}
	c.Goods[id] = g
	return nil
}

func (c Catalog) addOffer(name string, text offerText) error {
	at := lineAt(text.line)
	id, err := throng.ParseItemID("offers", name)
	if err != nil {
		return throng.AtField(throng.Invalid, at, "%w", err)
	}
	o := Offer{Price: amountsOf(text.Price), Gives: amountsOf(text.Gives)}
	if len(o.Gives) == 0 {
		return throng.AtField(throng.Invalid, at, "offers.%s.gives: is nothing", name)
	}
	uniques := int64(0)
	for field, list := range map[string][]throng.Amount{"price": o.Price, "gives": o.Gives} {
		field = "offers." + name + "." + field
		if err := throng.CheckAmounts(field, list); err != nil {
			return throng.AtField(throng.Invalid, at, "%w", err)
		}
		for _, a := range list {
			good, ok := c.Goods[a.Item]
			switch {
			case !ok:
				return throng.AtField(throng.Invalid, at, "%s: there is no currency or item %s", field, a.Item)
			case good.Kind == UniqueOne && (strings.HasSuffix(field, "price") || a.Count > throng.TransferMost):
				return throng.AtField(throng.Invalid, at, "%s: a unique item is no price, and at most %d come at once", field, throng.TransferMost)
			case good.Kind == UniqueOne:
				uniques += a.Count
			}
		}
	}
	if uniques > MaxMoves {
		return throng.AtField(throng.Invalid, at, "offers.%s.gives: has %d unique items, at most %d come at once", name, uniques, MaxMoves)
	}
	c.Offers[id] = o
	return nil
}

func amountsOf(m map[string]int64) []throng.Amount {
	var list []throng.Amount
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, throng.Amount{Item: throng.ItemID(name), Count: m[name]})
	}
	return list
}

// over says what of the old catalog next cannot be: what players own stays what
// it is.
func (c Catalog) over(old Catalog) error {
	for _, id := range slices.Sorted(maps.Keys(old.Goods)) {
		good, ok := c.Goods[id]
		switch {
		case !ok:
			return throng.AtField(throng.Invalid, CatalogFile, "%s is missing: players may own it, so it stays (without offers nobody gets any)", id)
		case good.Kind != old.Goods[id].Kind:
			return throng.AtField(throng.Invalid, CatalogFile, "%s was %s and cannot become %s: players may own it", id, old.Goods[id].Kind, good.Kind)
		}
	}
	return nil
}

// IsUnique says whether an item is a single one, like "sword#7fk2m".
func IsUnique(id throng.ItemID) bool { return strings.Contains(string(id), "#") }

// kindOf is the kind of a single item.
func kindOf(id throng.ItemID) throng.ItemID {
	kind, _, _ := strings.Cut(string(id), "#")
	return throng.ItemID(kind)
}
