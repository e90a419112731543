"""The causal tool: what a treatment changes, and for whom. In: tables of what happened. Out: effects with intervals.

Declarations only; ``actions`` does the work.
"""

from __future__ import annotations

from e2i.catalog.action import Action, Tool
from e2i.tools.causal import choosing, designs, panels, trust
from e2i.tools.causal.basics import LIBRARIES
from e2i.tools.causal.basics import Estimate as Estimate
from e2i.tools.causal.basics import Label as Label
from e2i.tools.causal.basics import Level as Level
from e2i.tools.causal.doubting import RefuteOutputs as RefuteOutputs
from e2i.tools.causal.doubting import RefuteParams as RefuteParams
from e2i.tools.causal.estimating import CLIP as CLIP
from e2i.tools.causal.estimating import EffectsOutputs as EffectsOutputs
from e2i.tools.causal.estimating import EffectsParams as EffectsParams
from e2i.tools.causal.estimating import Estimand as Estimand
from e2i.tools.causal.estimating import EstimateOutputs as EstimateOutputs
from e2i.tools.causal.estimating import EstimateParams as EstimateParams
from e2i.tools.causal.estimating import Nuisance as Nuisance
from e2i.tools.causal.estimating import Overlap as Overlap
from e2i.tools.causal.estimating import OverlapFound as OverlapFound
from e2i.tools.causal.estimating import model_of as model_of
from e2i.tools.causal.estimating import settings_of as settings_of
from e2i.tools.causal.mediators import ACTIONS as MEDIATED

TOOL = Tool(
    name="causal",
    summary="Estimates what a treatment changes, for all and for each, with intervals and diagnostics.",
    actions=(
        Action(
            "estimate",
            "Estimates the effect of a treatment on an outcome, adjusted for what both depend on.",
            EstimateParams,
            EstimateOutputs,
            libraries=(*LIBRARIES, "matplotlib"),
            columns=True,
            version=4,
            question=True,
        ),
        Action(
            "refute",
            "Tries to refute an estimate, and fails when it can.",
            RefuteParams,
            RefuteOutputs,
            libraries=LIBRARIES,
            columns=True,
            gate=True,
            question=True,
        ),
        Action(
            "effects",
            "Applies an effect model to a table.",
            EffectsParams,
            EffectsOutputs,
            libraries=LIBRARIES,
            columns=True,
        ),
        *trust.ACTIONS,
        *choosing.ACTIONS,
        *designs.ACTIONS,
        *MEDIATED,
        *panels.ACTIONS,
    ),
    distribution="econml",
    extra="econml",
    imports=("pandas", "lightgbm", "matplotlib.backends.backend_agg", "matplotlib.figure"),
)
