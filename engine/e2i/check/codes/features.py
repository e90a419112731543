"""Codes of feature stores: what a run finds in tables, registries and repositories of Feast."""

from __future__ import annotations

from e2i.check.codes.code import Code

CODES = (
    Code(
        "feature-name-collision",
        "Two columns that would have one name",
        "A feature is called like another feature, a column that is kept, a join key, or Feast's own time column.",
        "Set `full_feature_names: true`, or ask for one of them only.",
        example="Two views with a feature visits, both asked for.",
    ),
    Code(
        "feature-registry-corrupt",
        "A feature registry that cannot be read",
        "The registry file in the store is cut off or is no registry.",
        "Run feast.apply again with --fresh: it rebuilds the registry from the definitions.",
        example="A disk that was full while something else wrote to the store.",
    ),
    Code(
        "feature-registry-refused",
        "A feature registry with more than plain views",
        "Only registries of plain feature views over files are loaded: the other kinds can carry pickled code.",
        "Declare the views by feast.apply.",
        example="An on-demand feature view that was applied with the feast command.",
    ),
    Code(
        "feature-repo-corrupt",
        "A version of a feature repository that has changed",
        "The files of an applied repository are kept by their digest, and no longer have it.",
        "Run feast.apply again with --fresh.",
        example="A Parquet file in the store's feast folder was edited.",
    ),
    Code(
        "feature-repo-missing",
        "A version of a feature repository that is gone",
        "A step refers to an applied repository that this store does not hold.",
        "Run feast.apply again with --fresh.",
        example="The store's feast folder was removed; the history that names it was not.",
    ),
    Code(
        "feature-repo-refused",
        "A feature repository that feast.apply did not make",
        "The value is shaped like a repository and no step of this store made it.",
        "Refer to the step that applied it: ${{ steps.ID.repo }}.",
        example="repo: written out by hand in a spec",
    ),
    Code(
        "feature-view-changed",
        "A feature view that somebody else changed",
        "The registry's view is not the one that the repository declares, so its features would be others.",
        "Run feast.apply again with --fresh, or use another project name.",
        example="Two pipelines that declare different views in one project.",
    ),
    Code(
        "not-published",
        "Values that the online store did not take",
        "Feast's Redis store keeps the value that it has when another of the same instant comes, so corrected rows are "
        "not served.",
        "Give corrected rows later times, or empty the online store before.",
        example="Two versions of a project that publish other values of the same times to one Redis",
    ),
    Code(
        "feature-view-missing",
        "A feature view that is not in the registry",
        "The repository declares the view, and the registry has lost it.",
        "Run feast.apply again with --fresh: it rebuilds the registry from the definitions.",
        example="feast teardown was run on the store's project.",
    ),
    Code(
        "features-missing",
        "Keys without a value online",
        "Some entities have no published features, or ones older than the view's time to live.",
        "Publish them by feast.materialize, or set `missing: null`.",
        example="feast.online_features for a customer who came after the last feast.materialize",
    ),
    Code(
        "join-key-type",
        "A join key of another type",
        "The keys of the table and of the entity would never be equal: text is not a number.",
        "Set the entity's `type`, or change the column's type when the table is loaded.",
        example='hcp_id is 17 in the table, and "17" in the view',
    ),
    Code(
        "missing-column",
        "A column that the table does not have",
        "A view's table, or the table to join to, lacks a join key, a timestamp or a column to keep.",
        "Take a column that the hint lists, or keep it in the steps above.",
        example="feast.historical_features for a table without the entity's join key",
    ),
    Code(
        "missing-join-key",
        "An entity without its key",
        "Each entity that online features are asked for names every join key of the views.",
        "Add the keys that the hint lists.",
        example="entities: [{hcp: 17}], where the join key is hcp_id",
    ),
    Code(
        "not-a-timestamp",
        "A column that is no timestamp",
        "Features are joined as they were known at a point in time, so both sides need timestamps.",
        "Name the column in `parse_dates` of data.load.",
        example="timestamp: day, where day is text such as 2013-01-31",
    ),
    Code(
        "null-timestamp",
        "Rows at no point in time",
        "A row without a timestamp can be joined to nothing, and nothing can be known as of it.",
        "Drop these rows first, for instance by data.select.",
        example="3 rows of a view's table have no event_timestamp",
    ),
    Code(
        "unknown-feature-view",
        "A feature view that the project does not have",
        "The views of a repository are those that feast.apply was given.",
        "Take a view that the hint lists.",
        example='features: ["histroy:calls"]',
    ),
)
