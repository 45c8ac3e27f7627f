package dynamo

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/throng-gg/throng"
)

const (
	firstPause = 20 * time.Millisecond
	mostPause  = time.Second
)

// errChanged says that what was read is not there any more: read again.
var errChanged = errors.New("what it was decided on changed under it")

// again runs an operation, which reads what it needs anew each time, until it has
// an answer or the budget is used up: then Unavailable, since it is not known
// whether anything was written.
func (s *Store) again(ctx context.Context, what string, operation func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	pause := firstPause
	for {
		once, done := context.WithTimeout(ctx, 3*s.try) // several requests
		err := operation(once)
		done()
		if err == nil || final(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return throng.RetryLater(throng.Unavailable, time.Second, "%s: %s, not known within %s whether it was done: %w", what, reason(err), s.budget, err)
		case <-time.After(pause/2 + rand.N(pause)):
			pause = min(2*pause, mostPause)
		}
	}
}

// final says whether an error is an answer: one of ours is; of the service's
// those that no repeat changes.
func final(err error) bool {
	if ours, ok := errors.AsType[*throng.Error](err); ok {
		return ours != nil
	}
	if errors.Is(err, errChanged) {
		return false
	}
	said, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return false // the network's, or a timeout
	}
	switch said.ErrorCode() {
	case "ValidationException", "ResourceNotFoundException", "AccessDeniedException", "UnrecognizedClientException",
		"MissingAuthenticationTokenException", "InvalidSignatureException", "ItemCollectionSizeLimitExceededException":
		return true
	}
	return false
}

// reason is what kept an operation from an answer, in a word.
func reason(err error) string {
	said, ok := errors.AsType[smithy.APIError](err)
	switch {
	case errors.Is(err, errChanged):
		return "changed under it"
	case !ok:
		return "no answer"
	case isThrottled(said.ErrorCode()) || throttledInside(err):
		return "throttled"
	}
	return said.ErrorCode()
}

func isThrottled(code string) bool {
	switch code {
	case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "ThrottlingError", "ProvisionedThroughputExceeded":
		return true
	}
	return false
}

// throttledInside says whether a transaction was canceled because of throttling.
func throttledInside(err error) bool {
	tx, ok := errors.AsType[*types.TransactionCanceledException](err)
	return ok && slices.ContainsFunc(tx.CancellationReasons, func(r types.CancellationReason) bool { return r.Code != nil && isThrottled(*r.Code) })
}

// refused says whether a condition of a single write did not hold.
func refused(err error) bool {
	_, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	return ok
}

// canceled takes a transaction's error: errChanged when a condition did not hold.
func canceled(err error) error {
	tx, ok := errors.AsType[*types.TransactionCanceledException](err)
	if !ok {
		return err
	}
	for _, r := range tx.CancellationReasons {
		if r.Code != nil && *r.Code == "ConditionalCheckFailed" {
			return errChanged
		}
	}
	for _, r := range tx.CancellationReasons {
		if r.Code != nil && *r.Code == "ValidationError" {
			return throng.Errorf(throng.Internal, "the transaction was refused: %w", err)
		}
	}
	return err
}

// request bounds one request.
func request[In, Out any](ctx context.Context, s *Store, call func(context.Context, In) (Out, error), in In) (Out, error) {
	ctx, cancel := context.WithTimeout(ctx, s.try)
	defer cancel()
	return call(ctx, in)
}
