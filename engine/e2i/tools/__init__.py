"""The tools that specs can use, a folder each. In: resolved parameters and a step context. Out: typed outputs."""
