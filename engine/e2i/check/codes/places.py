"""Codes of errors at databases and remote locations. They can only arise in a run."""

from __future__ import annotations

from e2i.spec.problems import Code

CODES = (
    Code(
        "ambiguous-key",
        "Rows that their key does not identify",
        "An upsert replaces the row with the same key, so each row needs a key of its own, without missing values.",
        "Remove repeated rows, or name the columns that identify a row.",
        example="key: [customer], where a customer has two rows",
    ),
    Code(
        "bad-redirect",
        "A redirect that is not followed",
        "A location leads to one server. A redirect to another one could lead anywhere.",
        "Have the operator name the other server as a location.",
        example="https://data.example.com/x answers with a redirect to https://cdn.example.net/x",
    ),
    Code(
        "database-refused",
        "A statement that the database refuses",
        "The database is up and answers that the request is wrong: a name that does not exist, a syntax error, a "
        "constraint, a statement that is not one SELECT.",
        "Correct what the message names.",
        example='column "regoin" does not exist',
    ),
    Code(
        "digest-mismatch",
        "A file with other content than the spec says",
        "`digest` pins the content of a file. The file at the location has changed, or is another one.",
        "Find out why the file changed, then correct `digest`.",
        example="The provider corrected the data of last month.",
    ),
    Code(
        "download-too-large",
        "A file that is larger than the location allows",
        "`max_bytes` of a location limits the size of a file that is taken.",
        "Take a smaller file, or have the operator raise the limit.",
        example="A file of 40 GB, where max_bytes is 10737418240.",
    ),
    Code(
        "private-address",
        "A server with an address inside a network",
        "A location leads to the public internet unless its settings say `private: true`, so that no spec reaches the "
        "services of the machine or of its network.",
        "Have the operator set `private: true` if the server is meant.",
        example="data.example.com resolves to 10.0.0.7.",
    ),
    Code(
        "query-too-slow",
        "A statement that takes too long",
        "A statement of a connection may take `statement_timeout` seconds, and each fetch of rows.",
        "Read fewer rows, add an index, or have the operator raise the limit.",
        example="A join of two large tables, where statement_timeout is 30.",
    ),
    Code(
        "remote-refused",
        "A request that a server refuses",
        "The server is up and answers with another status than 200, 401, 403, 404 or one for an outage.",
        "Check the key, and what the server says of it.",
        example="HTTP 406 for a key that is a page, not a file",
    ),
)
