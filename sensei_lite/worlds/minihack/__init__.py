"""The real MiniHack levels behind Gymnasium's interface."""
