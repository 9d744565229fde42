"""R_psi: a reward for pictures, distilled from an annotator's answers. Notebook 06."""
