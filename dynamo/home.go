package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/throng-gg/throng"
)

// homePK is in the table of catalogs, under a name that no game has.
const homePK = "#home"

func (s *Store) home(ctx context.Context) (throng.Home, error) {
	i, err := s.get(ctx, s.catalog, item{"pk": text(homePK)})
	return throng.Home{Region: throng.RegionID(i.text("r")), Term: uint64(i.number("t"))}, err
}

// Home returns the home that was set last; Term 0: none was.
func (s *Store) Home(ctx context.Context) (h throng.Home, err error) {
	err = s.again(ctx, "look for the home", func(ctx context.Context) error {
		h, err = s.home(ctx)
		return err
	})
	return h, err
}

// SetHome makes a home the one that counts, durably, if its term is higher; the same
// again is no error. Invalid: it has no region or no term. Conflict: its term is not
// higher.
func (s *Store) SetHome(ctx context.Context, h throng.Home) error {
	if h.Region == "" || h.Term == 0 {
		return throng.Errorf(throng.Invalid, "a home has a region and a term, from 1")
	}
	return s.again(ctx, "set the home", func(ctx context.Context) error {
		err := s.put(ctx, &dynamodb.PutItemInput{
			TableName: &s.catalog, Item: item{"pk": text(homePK), "r": text(string(h.Region)), "t": number(h.Term)},
			ConditionExpression: aws.String("attribute_not_exists(pk) OR t < :t"), ExpressionAttributeValues: item{":t": number(h.Term)},
		})
		if !refused(err) {
			return err
		}
		was, err := s.home(ctx)
		if err == nil && was != h {
			err = throng.Errorf(throng.Conflict, "the home is %s, since term %d, and not %s, since %d", was.Region, was.Term, h.Region, h.Term)
		}
		return err
	})
}
