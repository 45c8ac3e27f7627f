package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Capacity is what a table is provisioned with; zero: on demand.
type Capacity struct{ Read, Write int64 }

// Setup makes the tables that are missing, and waits until they can be used. It
// changes none that is there. made names those that it made.
func (s *Store) Setup(ctx context.Context, profiles, economy Capacity) (made []string, err error) {
	two := []string{"pk", "sk"}
	for _, t := range []struct {
		name     string
		keys     []string
		capacity Capacity
		stream   bool
	}{{s.profiles, two, profiles, false}, {s.economy, two, economy, true}, {s.catalog, two[:1], Capacity{}, false}, {s.shards, two, Capacity{}, false}} {
		in := &dynamodb.CreateTableInput{TableName: &t.name, BillingMode: types.BillingModePayPerRequest}
		for n, name := range t.keys {
			in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeTypeS})
			in.KeySchema = append(in.KeySchema, types.KeySchemaElement{AttributeName: &name, KeyType: []types.KeyType{types.KeyTypeHash, types.KeyTypeRange}[n]})
		}
		if t.capacity != (Capacity{}) {
			in.BillingMode = types.BillingModeProvisioned
			in.ProvisionedThroughput = &types.ProvisionedThroughput{ReadCapacityUnits: &t.capacity.Read, WriteCapacityUnits: &t.capacity.Write}
		}
		if t.stream {
			in.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewImage}
		}
		_, err := s.client.CreateTable(ctx, in)
		switch _, exists := errors.AsType[*types.ResourceInUseException](err); {
		case err == nil:
			made = append(made, t.name)
		case !exists:
			return made, fmt.Errorf("make table %s: %w", t.name, err)
		}
		waiter := dynamodb.NewTableExistsWaiter(s.client, func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay = 100 * time.Millisecond })
		if err := waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: &t.name}, 5*time.Minute); err != nil {
			return made, fmt.Errorf("wait for table %s: %w", t.name, err)
		}
	}
	return made, nil
}
