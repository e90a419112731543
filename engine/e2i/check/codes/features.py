"""Codes of feature stores: errors that only a run finds in the tables, registries and repositories of Feast."""

from __future__ import annotations

from e2i.spec.problems import Code

CODES = (
    Code(
        "feature-drift",
        "Features that differ from their reference",
        "`feast.statistics` compared features with a reference, and one differs by more than `max_psi` or `max_ks`, or "
        "has values on one side only. The details of the error have the figures of each feature that drifted.",
        "Find out why the data changed, and train again; or raise the limit, or set `on_drift: warn`.",
        example="max_psi: 0.25, where the population stability index of rx_volume is 0.4",
    ),
    Code(
        "feature-name-collision",
        "Two columns with the same name",
        "A feature has the same name as another feature, a kept column, a join key, or Feast's own time column.",
        "Set `full_feature_names: true`, or request only one of them.",
        example="Two views have a feature visits, and both are requested.",
    ),
    Code(
        "feature-registry-corrupt",
        "A feature registry that cannot be read",
        "The registry file in the store is truncated or is not a registry.",
        "Run feast.apply again with --fresh: it rebuilds the registry from the definitions.",
        example="The disk was full while another process wrote to the store.",
    ),
    Code(
        "feature-registry-refused",
        "A feature registry with more than plain views",
        "Only registries of plain feature views over files are loaded. Others can carry pickled code, or name classes. "
        "An existing repository is refused when its registry or its feature_store.yaml has what is not Feast's own.",
        "Declare the views with feast.apply. For an existing repository that you trust, set trusted: true.",
        example="An on-demand feature view that was applied with the feast command.",
    ),
    Code(
        "feature-repo-corrupt",
        "A corrupt version of a feature repository",
        "The files of an applied repository are stored under their digest, and no longer match it.",
        "Run feast.apply again with --fresh.",
        example="A Parquet file in the store's feast folder was edited.",
    ),
    Code(
        "feature-repo-missing",
        "A version of a feature repository that is missing",
        "A step refers to an applied repository that is not in this store.",
        "Run feast.apply again with --fresh.",
        example="The store's feast folder was removed, but the history that refers to it was not.",
    ),
    Code(
        "feature-repo-refused",
        "A feature repository that feast.apply did not create",
        "The value looks like a repository, but no step of this store created it.",
        "Refer to the step that applied it: ${{ steps.ID.repo }}.",
        example="repo: written out by hand in a spec",
    ),
    Code(
        "feature-view-changed",
        "A feature view that somebody else changed",
        "The view in the registry differs from the one that the repository declares, so its features would differ.",
        "Run feast.apply again with --fresh, or use another project name.",
        example="Two pipelines that declare different views in one project.",
    ),
    Code(
        "not-published",
        "Values that the online store did not take",
        "Feast's Redis store keeps the existing value when another arrives with the same timestamp, so corrected rows "
        "are not served.",
        "Use later timestamps for corrected rows, or empty the online store first.",
        example="Two versions of a project that publish different values with the same timestamps to one Redis",
    ),
    Code(
        "feature-view-missing",
        "A feature view that is not in the registry",
        "The repository declares the view, but the registry does not have it.",
        "Run feast.apply again with --fresh: it rebuilds the registry from the definitions.",
        example="feast teardown was run on the store's project.",
    ),
    Code(
        "features-missing",
        "Keys without online values",
        "Some entities have no published features, or only features older than the view's time to live.",
        "Publish them with feast.materialize, or set `missing: null`.",
        example="feast.online_features for a customer added after the last feast.materialize",
    ),
    Code(
        "join-key-type",
        "A join key with another type",
        "The keys of the table and of the entity would never be equal: text is not equal to a number.",
        "Set the entity's `type`, or change the column's type when the table is loaded.",
        example='hcp_id is 17 in the table, and "17" in the view',
    ),
    Code(
        "missing-column",
        "A column that the table does not have",
        "A view's table, or the table to join to, lacks a join key, a timestamp or a column to keep.",
        "Use a column listed in the hint, or keep the column in the upstream steps.",
        example="feast.historical_features for a table without the entity's join key",
    ),
    Code(
        "missing-join-key",
        "An entity without its key",
        "Each entity in a request for online features must have every join key of the views.",
        "Add the keys listed in the hint.",
        example="entities: [{hcp: 17}], where the join key is hcp_id",
    ),
    Code(
        "not-a-timestamp",
        "A column that is not a timestamp",
        "Features are joined as they were known at a point in time, so both sides need timestamps.",
        "List the column in `parse_dates` of data.load.",
        example="timestamp: day, where day is text such as 2013-01-31",
    ),
    Code(
        "null-timestamp",
        "Rows without a timestamp",
        "A row without a timestamp cannot be joined to features as of a point in time.",
        "Drop these rows first, for example with data.select.",
        example="3 rows of a view's table have no event_timestamp",
    ),
    Code(
        "unknown-feature-service",
        "A feature service that does not exist",
        "`service:NAME` selects the features of a feature service. The repository has none of this name, or one that "
        "renames views or keys, which is not supported.",
        "Use a service of the hint, or name the views.",
        example="features: service:scorng",
    ),
    Code(
        "unknown-feature-view",
        "A feature view that the project does not have",
        "The views of a repository are those passed to feast.apply.",
        "Use a view listed in the hint.",
        example='features: ["histroy:calls"]',
    ),
)
