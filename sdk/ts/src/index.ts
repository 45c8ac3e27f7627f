/**
 * Throng in the browser: the door, the wire, and a player's connection to a
 * session. It has no dependencies. docs/play.md shows how the parts meet.
 *
 * @packageDocumentation
 */
export type { Latencies, Latency } from "./beacon.ts";
export { Connection } from "./connection.ts";
export type { ConnectionOptions, ConnectionState, End, EndReason, Stats } from "./connection.ts";
export { Rate } from "./counters.ts";
export { Door } from "./door.ts";
export type { Assignment, DoorConfig, Page, Party, Place, Presence, Privacy, Region, Session, Waiting } from "./door.ts";
export { DoorError } from "./error.ts";
export type { ErrorCode } from "./error.ts";
export { awaitTicket, leave, makeTicket, matchmake, targetOf } from "./matchmake.ts";
export type { JoinOptions, Wish } from "./matchmake.ts";
export { Clock } from "./scene/clock.ts";
export { Predictor } from "./scene/predict.ts";
export { Scene } from "./scene/scene.ts";
export { Smoother, SmoothEntity } from "./scene/smooth.ts";
export type { Step, StepMove } from "./scene/walk.ts";
export { connect } from "./transport.ts";
export type { Receiver, Target, Transport, TransportKind, TransportOptions } from "./transport.ts";
export { World } from "./world.ts";
export type { Update } from "./world.ts";
export type { Bye, ByeReason } from "./wire/bye.ts";
export type { Handoff } from "./wire/handoff.ts";
export type { PlaceMessage, PlaceValue } from "./wire/place.ts";
export type { Reconnect } from "./wire/reconnect.ts";
export { MAX_PAYLOAD, PROTOCOL, WireError } from "./wire/message.ts";
export type { Move } from "./wire/input.ts";
export type { Field, FieldKind, Gait, Kind, Schema } from "./wire/schema.ts";
export { numberOf, stringOf, View } from "./wire/view.ts";
export type { Hash } from "./wire/view.ts";
export type { Welcome } from "./wire/welcome.ts";
