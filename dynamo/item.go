package dynamo

import (
	"context"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// item is what DynamoDB keeps under a key.
type item map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number[N ~int | ~int64 | ~uint64](n N) types.AttributeValue {
	if n < 0 {
		return &types.AttributeValueMemberN{Value: strconv.FormatInt(int64(n), 10)}
	}
	return &types.AttributeValueMemberN{Value: strconv.FormatUint(uint64(n), 10)}
}

func blob(b []byte) types.AttributeValue { return &types.AttributeValueMemberB{Value: b} }

func flag(yes bool) types.AttributeValue { return &types.AttributeValueMemberBOOL{Value: yes} }

func (i item) text(name string) string {
	if v, ok := i[name].(*types.AttributeValueMemberS); ok {
		return v.Value
	}
	return ""
}

// number is 0 where there is none.
func (i item) number(name string) int64 {
	v, ok := i[name].(*types.AttributeValueMemberN)
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(v.Value, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (i item) blob(name string) []byte {
	if v, ok := i[name].(*types.AttributeValueMemberB); ok {
		return v.Value
	}
	return nil
}

func (i item) flag(name string) bool {
	v, ok := i[name].(*types.AttributeValueMemberBOOL)
	return ok && v.Value
}

// keyOf names an item.
func keyOf(pk, sk string) item { return item{"pk": text(pk), "sk": text(sk)} }

// get reads one item, with every write before; nil: it is not there.
func (s *Store) get(ctx context.Context, table string, key item) (item, error) {
	out, err := request(ctx, s, func(ctx context.Context, in *dynamodb.GetItemInput) (*dynamodb.GetItemOutput, error) {
		return s.client.GetItem(ctx, in)
	}, &dynamodb.GetItemInput{TableName: &table, Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// span is the items of one owner whose sort key is from low to high.
type span struct{ table, pk, low, high string }

// query reads a span, page by page, until visit says that it is enough.
func (s *Store) query(ctx context.Context, of span, options queryOptions) error {
	in := &dynamodb.QueryInput{
		TableName: &of.table, ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("pk = :p AND sk BETWEEN :l AND :h"),
		ExpressionAttributeValues: item{":p": text(of.pk), ":l": text(of.low), ":h": text(of.high)}, ScanIndexForward: aws.Bool(!options.newest),
	}
	if options.limit > 0 {
		in.Limit = aws.Int32(int32(min(options.limit, 1000)))
	}
	for {
		out, err := request(ctx, s, func(ctx context.Context, in *dynamodb.QueryInput) (*dynamodb.QueryOutput, error) {
			return s.client.Query(ctx, in)
		}, in)
		if err != nil {
			return err
		}
		for _, i := range out.Items {
			if more, err := options.visit(i); err != nil || !more {
				return err
			}
		}
		if len(out.LastEvaluatedKey) == 0 {
			return nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

type queryOptions struct {
	newest bool // the last sort key first
	limit  int  // of a page; 0: the service's
	visit  func(item) (more bool, err error)
}

// update changes one item on a condition.
func (s *Store) update(ctx context.Context, in *dynamodb.UpdateItemInput) (item, error) {
	out, err := request(ctx, s, func(ctx context.Context, in *dynamodb.UpdateItemInput) (*dynamodb.UpdateItemOutput, error) {
		return s.client.UpdateItem(ctx, in)
	}, in)
	if err != nil {
		return nil, err
	}
	return out.Attributes, nil
}

// put writes one item on a condition.
func (s *Store) put(ctx context.Context, in *dynamodb.PutItemInput) error {
	_, err := request(ctx, s, func(ctx context.Context, in *dynamodb.PutItemInput) (*dynamodb.PutItemOutput, error) {
		return s.client.PutItem(ctx, in)
	}, in)
	return err
}
