package main

import (
	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/match"
)

// rememberers are several who take what there is to say of a ticket.
type rememberers []match.Joins

// Record tells all.
func (r rememberers) Record(j throng.JoinRecord) {
	for _, one := range r {
		one.Record(j)
	}
}
