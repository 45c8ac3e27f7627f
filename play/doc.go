// Package play is the players' page: places with their live numbers, and a
// canvas to play them on. The page is TypeScript in src/, written against
// sdk/ts; `make page` builds it into dist/, which is committed, so that Go alone
// builds the whole binary. handler.go serves dist/.
//
// Its only neighbour is the door, which serves it at / and /assets/; the page
// speaks to the same door, and to game servers by WebTransport or WebSocket.
//
// When it misbehaves: the browser's console says what the Content-Security-Policy
// held back, and `throng` there is the connection with its stats(). A page that
// looks old is one whose dist/ was not built: scripts/check-generated.sh says so.
package play
