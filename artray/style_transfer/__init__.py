"""Style transfer: what pictures show, painted as other works are (D9)."""
