// Package physics answers what scripts ask of simple shapes in the plane: what
// overlaps, what a ray meets, and how far something can move before it slides
// along what is solid.
//
// A Space holds circles and boxes in a grid of cells. Nothing moves by itself,
// there are no forces: the script moves a body, and the Space says where it got
// to. The same calls give the same results to the last bit on every machine:
// results are ordered by the bodies' numbers, no map is iterated, and products
// are rounded before they are added (no fused multiply-add).
//
// Every shape is a box with rounded corners: a circle is one without a box, a
// box one without the rounding. So is the sum of two shapes (Minkowski's), which
// makes moving one body a ray against the sum; see Ericson, Real-Time Collision
// Detection, 5.5.
//
// Work is charged as it is done: Charge may panic, and leaves the Space whole.
// Neighbours: script makes an API of it for places.
package physics
