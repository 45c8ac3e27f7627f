package throng

// GameID names the places that share saves: a place that names no game is one of
// its own, and the game has its name.
type GameID string

// ParseGameID checks a game's name, which is like a place's.
func ParseGameID(field, s string) (GameID, error) {
	id, err := ParsePlaceID(field, s)
	return GameID(id), err
}
