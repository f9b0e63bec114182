"""An issuer's keys, the tokens it rightly signs, and a catalogue of the ones that must never pass."""
