// Records the samples of structured logs: node record.js FOLDER, with pino, winston and sql.js installed.
const fs = require("fs"), path = require("path");
const pino = require("pino"), winston = require("winston"), initSqlJs = require("sql.js");

function pages(db, log) {
  for (const reqId of ["r-1", "r-2"]) {
    log({ reqId, path: "/authors" }, "page");
    const asked = [["SELECT id, name FROM authors ORDER BY id LIMIT ?", [3]]];
    for (const author of [1, 2, 3]) asked.push(["SELECT id, title FROM books WHERE author_id = ?", [author]]);
    for (const [sql, bindings] of asked) {
      const begun = process.hrtime.bigint();
      db.exec(sql, bindings);
      log({ reqId, sql, bindings, duration: Number(process.hrtime.bigint() - begun) / 1e6 }, "query");
    }
  }
}

initSqlJs().then((SQL) => {
  const folder = process.argv[2], db = new SQL.Database();
  db.run("CREATE TABLE authors (id, name); CREATE TABLE books (id, title, author_id); INSERT INTO authors VALUES (1, 'A'), (2, 'B'), (3, 'C')");
  const file = pino.destination({ dest: path.join(folder, "pino.jsonl"), sync: true });
  const logger = pino({ level: "debug", base: { pid: 12 } }, file);
  pages(db, (fields, text) => logger.debug(fields, text));
  const other = winston.createLogger({
    level: "debug",
    format: winston.format.combine(winston.format.timestamp(), winston.format.json()),
    transports: [new winston.transports.File({ filename: path.join(folder, "winston.jsonl") })],
  });
  pages(db, ({ sql, duration, ...fields }, text) =>
    other.debug(sql || text, sql ? { ...fields, took: `${duration.toFixed(3)}ms` } : fields));
});
