// Corpus "transit": the application. Buses and trams on Kysely, a pool of four connections, five requests at a time.
//   node transit_kysely.js labels
//   node transit_kysely.js fill  PORT
//   node transit_kysely.js serve PORT COUNT SEED transaction|autocommit TRUTH
"use strict";
const { AsyncLocalStorage } = require("async_hooks");
const fs = require("fs");
const pg = require("pg");
const { Kysely, PostgresDialect, sql } = require("kysely");

const [, , verb, port] = process.argv;
const SIZES = [5, 7, 10, 16, 25, 40];
const STATES = ["planned", "running", "late", "done", "cancelled"];
const ZONES = ["A", "B", "C", "D", "E", "F"];
const KINDS = ["bus", "tram", "metro", "night", "school", "express"];
const T0 = Date.UTC(2026, 4, 4);
const HOUR = 3600e3;
const LEAST = 5;
const request = new AsyncLocalStorage();

const TABLES = {
  operator: "name text",
  depot: "operator_id int, name text",
  vehicle: "depot_id int, kind text, plate text, km int",
  driver: "depot_id int, badge text, name text, mentor_id int",
  line: "operator_id int, code text, kind text",
  zone: "code text, name text, cents int",
  stop: "name text, zone_code text",
  line_stop: "line_id int, stop_id int, position int",
  trip: "line_id int, vehicle_id int, driver_id int, starts timestamptz, state text, version int",
  passenger: "name text, email text, home_stop_id int",
  card: "number text, passenger_id int, balance int",
  ride: "trip_id int, card_number text, from_stop_id int, to_stop_id int, cents int, at timestamptz",
  fare: "zone_from text, zone_to text, kind text, cents int",
  incident: "trip_id int, stop_id int, reporter_badge text, kind text, at timestamptz",
  note: "incident_id int, parent_id int, driver_id int, body text",
  part: "name text, stock int",
  repair: "vehicle_id int, part_id int, driver_id int, cents int, state text",
  inspection: "vehicle_id int, day int, result text",
  subscription: "passenger_id int, line_id int",
  alert: "line_id int, body text, state text",
  delivery: "alert_id int, passenger_id int, state text",
  setting: "operator_id int, name text, value text",
  task: "kind text, subject_id int, state text",
  login: "token text, driver_id int",
};

const pool = new pg.Pool({ host: "127.0.0.1", port: Number(port), user: "postgres", database: "shop", max: 4 });
// The id of its request goes into each statement.
const send = pg.Client.prototype.query;
pg.Client.prototype.query = function (query, ...rest) {
  const now = request.getStore();
  if (now) {
    const end = ` /*request_id='${now.id}',route='${encodeURIComponent(now.route)}'*/`;
    if (typeof query === "string") query = query.includes("/*request_id=") ? query : query + end;
    else if (query && query.text && !query.submit) query = { ...query, text: query.text + end };
  }
  return send.call(this, query, ...rest);
};
const db = new Kysely({ dialect: new PostgresDialect({ pool }) });

function random(seed) {
  let a = (seed * 2654435761) >>> 0;
  const next = () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return { next, some: (last) => 1 + Math.floor(next() * last), pick: (list) => list[Math.floor(next() * list.length)] };
}

async function fill() {
  for (const [name, columns] of Object.entries(TABLES)) {
    await pool.query(`CREATE TABLE ${name} (id serial PRIMARY KEY, ${columns})`);
    for (const one of columns.split(", ")) {
      const column = one.split(" ")[0];
      if (/(_id|_code|badge|number|^code|token|starts)$/.test(column)) await pool.query(`CREATE INDEX ON ${name} (${column})`);
    }
  }
  const r = random(77);
  const at = (days) => new Date(T0 + r.some(days * 1440) * 60e3);
  const put = async (table, many, row) => {
    const rows = Array.from({ length: many }, (_, i) => row(i));
    for (let i = 0; i < many; i += 300) await db.insertInto(table).values(rows.slice(i, i + 300)).execute();
  };
  await put("operator", 7, (i) => ({ name: `Operator ${i}` }));
  await put("depot", 48, (i) => ({ operator_id: r.some(7), name: `Depot ${i}` }));
  await put("vehicle", 420, () => ({ depot_id: r.some(48), kind: r.pick(KINDS), plate: `P${r.some(99999)}`, km: r.some(400000) }));
  await put("driver", 500, (i) => ({ depot_id: r.some(48), badge: `B${1000 + i}`, name: `Driver ${r.some(9999)}`, mentor_id: i < 9 ? null : r.some(i) }));
  await put("line", 110, (i) => ({ operator_id: r.some(7), code: `L${i + 1}`, kind: r.pick(KINDS) }));
  await put("zone", 60, (i) => ({ code: i < 6 ? ZONES[i] : `Z${i}`, name: `Zone ${i}`, cents: 100 + i }));
  await put("stop", 700, (i) => ({ name: `Stop ${r.some(9999)}`, zone_code: r.next() < 0.3 ? r.pick(ZONES) : `Z${5 + r.some(54)}` }));
  await put("line_stop", 1500, (i) => ({ line_id: r.some(110), stop_id: r.some(700), position: i % 30 }));
  await put("trip", 2600, () => ({ line_id: r.some(110), vehicle_id: r.some(420), driver_id: r.some(500), starts: at(60), state: r.pick(STATES), version: 1 }));
  await put("passenger", 900, (i) => ({ name: `Passenger ${r.some(9999)}`, email: `p${i}@example.org`, home_stop_id: r.some(700) }));
  await put("card", 1300, (i) => ({ number: `C${10000 + i}`, passenger_id: r.some(900), balance: r.some(9000) }));
  await put("ride", 6000, () => ({ trip_id: r.some(2600), card_number: `C${9999 + r.some(1300)}`, from_stop_id: r.some(700), to_stop_id: r.some(700), cents: r.some(500), at: at(60) }));
  await put("fare", 1200, (i) => ({ zone_from: r.pick(ZONES), zone_to: r.pick(ZONES), kind: KINDS[i % 6], cents: r.some(900) }));
  await put("incident", 700, () => ({ trip_id: r.some(2600), stop_id: r.some(700), reporter_badge: `B${999 + r.some(500)}`, kind: r.pick(KINDS), at: at(60) }));
  await put("note", 2500, (i) => ({ incident_id: r.some(700), parent_id: i < 200 ? null : r.some(Math.min(i, 500)), driver_id: r.some(500), body: `note ${i}` }));
  await put("part", 150, (i) => ({ name: `Part ${i}`, stock: r.some(90) }));
  await put("repair", 1400, () => ({ vehicle_id: r.some(420), part_id: r.some(150), driver_id: r.some(500), cents: r.some(90000), state: r.pick(STATES) }));
  await put("inspection", 2000, () => ({ vehicle_id: r.some(420), day: r.some(700), result: r.pick(STATES) }));
  await put("subscription", 2400, () => ({ passenger_id: r.some(900), line_id: r.some(110) }));
  await put("alert", 400, (i) => ({ line_id: r.some(110), body: `alert ${i}`, state: r.pick(STATES) }));
  await put("delivery", 2600, () => ({ alert_id: r.some(400), passenger_id: r.some(900), state: r.pick(STATES) }));
  await put("setting", 84, (i) => ({ operator_id: 1 + (i % 7), name: `s${Math.floor(i / 7)}`, value: `${i}` }));
  await put("task", 900, () => ({ kind: r.pick(KINDS), subject_id: r.some(700), state: "open" }));
  await put("login", 120, (i) => ({ token: `t${i}`, driver_id: r.some(500) }));
  await pool.query("ANALYZE");
}

// ---- the repositories
const byId = (q, table, id) => q.selectFrom(table).selectAll().where("id", "=", id).executeTakeFirst();
const many = (q, table, column, value) => q.selectFrom(table).selectAll().where(column, "=", value).execute();
const within = (q, table, column, values) => (values.length ? q.selectFrom(table).selectAll().where(column, "in", [...new Set(values)]).execute() : []);
const number = (q, table, column, value) => q.selectFrom(table).select((e) => e.fn.countAll().as("n")).where(column, "=", value).executeTakeFirst();
const trips = (q, r, size) => q.selectFrom("trip").selectAll().where("starts", ">", new Date(T0 + r.some(40) * 24 * HOUR)).orderBy("starts").limit(size).execute();
const lines = (q, r, size) => q.selectFrom("line").selectAll().orderBy("code").limit(size).offset(r.some(50)).execute();
const stops = (q, r, size) => q.selectFrom("stop").selectAll().where("id", ">", r.some(600)).orderBy("id").limit(size).execute();
const drivers = (q, r, size) => q.selectFrom("driver").selectAll().orderBy("name").orderBy("id").limit(size).offset(r.some(400)).execute();
const vehicles = (q, r, size) => q.selectFrom("vehicle").selectAll().where("kind", "=", r.pick(KINDS)).orderBy("km", "desc").limit(size).execute();
const rides = (q, r, size) => q.selectFrom("ride").selectAll().orderBy("at", "desc").limit(size).offset(r.some(4000)).execute();
const incidents = (q, r, size) => q.selectFrom("incident").selectAll().where("kind", "=", r.pick(KINDS)).orderBy("at").limit(size).execute();
const passengers = (q, r, size) => q.selectFrom("passenger").selectAll().where("id", ">", r.some(800)).orderBy("id").limit(size).execute();
const repairs = (q, r, size) => q.selectFrom("repair").selectAll().where("state", "=", r.pick(STATES)).orderBy("cents", "desc").limit(size).execute();
const alerts = (q, r, size) => q.selectFrom("alert").selectAll().where("id", "<", 60 + r.some(340)).orderBy("id", "desc").limit(size).execute();

class Calls {
  add(table) { this[table] = (this[table] || 0) + 1; }
  async each(table, rows, work) { const out = []; for (const row of rows) { this.add(table); out.push(await work(row)); } return out; }
  all(table, rows, work) { return Promise.all(rows.map((row) => { this.add(table); return work(row); })); }
}

// A page: label, why, work(q, r, size, calls, tx). Those that are "own" open their transactions themselves, by tx.
const pages = {};
const page = (route, label, why, work, own = false) => { pages[route] = { label, why, work, own }; };
const own = true;

page("trips", "trip>vehicle", "the vehicle of each trip of the list, one after the other", async (q, r, s, c) => { await c.each("vehicle", await trips(q, r, s), (t) => byId(q, "vehicle", t.vehicle_id)); });
page("trips/crew", "trip>driver, driver>depot", "two to-one steps for each trip: its driver, then the depot of that driver", async (q, r, s, c) => {
  for (const t of await trips(q, r, s)) { c.add("driver"); const d = await byId(q, "driver", t.driver_id); c.add("depot"); await byId(q, "depot", d.depot_id); }
});
page("lines/stops", "line>line_stop", "the stops of each line by a join from its link table", async (q, r, s, c) => {
  await c.each("line_stop", await lines(q, r, s), (l) => q.selectFrom("line_stop").innerJoin("stop", "stop.id", "line_stop.stop_id").select(["stop.id", "stop.name"]).where("line_stop.line_id", "=", l.id).orderBy("line_stop.position").execute());
});
page("lines/size", "line>trip", "trips are counted for each line", async (q, r, s, c) => { await c.each("trip", await lines(q, r, s), (l) => number(q, "trip", "line_id", l.id)); });
page("stops", "stop>zone", "the zone of each stop is looked up by its code", async (q, r, s, c) => { await c.each("zone", await stops(q, r, s), (x) => q.selectFrom("zone").select(["name", "cents"]).where("code", "=", x.zone_code).executeTakeFirst()); });
page("drivers/mentors", "driver>driver", "the mentor of each driver, a row of the same table", async (q, r, s, c) => { await c.each("driver", (await drivers(q, r, s)).filter((d) => d.mentor_id), (d) => byId(q, "driver", d.mentor_id)); });
page("rides", "ride>card, card>passenger", "for each ride its card by number, then who holds that card", async (q, r, s, c) => {
  await c.each("card", await rides(q, r, s), async (x) => { const [card] = await many(q, "card", "number", x.card_number); c.add("passenger"); return byId(q, "passenger", card.passenger_id); });
});
page("incidents", "incident>note", "notes are read for each incident while it is rendered", async (q, r, s, c) => { await c.each("note", await incidents(q, r, s), (i) => many(q, "note", "incident_id", i.id)); });
page("note/thread", "note>note", "a tree of answers is walked down: a query for those below each", async (q, r, s, c) => {
  let left = s;
  const down = async (row) => { if (!left) return; left -= 1; c.add("note"); for (const one of await many(q, "note", "parent_id", row.id)) await down(one); };
  for (const one of await q.selectFrom("note").selectAll().where("parent_id", "is", null).orderBy("id").limit(6).offset(r.some(150)).execute()) await down(one);
});
page("vehicles/inspections", "vehicle>inspection", "the newest inspection of each vehicle, by ORDER BY and LIMIT 1", async (q, r, s, c) => { await c.each("inspection", await vehicles(q, r, s), (v) => q.selectFrom("inspection").selectAll().where("vehicle_id", "=", v.id).orderBy("day", "desc").limit(1).executeTakeFirst()); });
page("vehicles/repairs", "vehicle>repair, repair>part", "a list in a list: the repairs of each vehicle, the part of each repair", async (q, r, s, c) => {
  await c.each("repair", (await vehicles(q, r, s)).slice(0, 16), async (v) => { await c.each("part", await many(q, "repair", "vehicle_id", v.id), (x) => byId(q, "part", x.part_id)); });
});
page("passengers/balance", "passenger>card", "a sum for each passenger in place of one GROUP BY", async (q, r, s, c) => { await c.each("card", await passengers(q, r, s), (p) => q.selectFrom("card").select((e) => e.fn.sum("balance").as("sum")).where("passenger_id", "=", p.id).executeTakeFirst()); });
page("alerts.json", "alert>line, alert>delivery", "two lookups for each alert, all sent at once by Promise.all", async (q, r, s, c) => {
  const rows = await alerts(q, r, s);
  await Promise.all([c.all("line", rows, (a) => byId(q, "line", a.line_id)), c.all("delivery", rows, (a) => number(q, "delivery", "alert_id", a.id))]);
});
page("export/rides.csv", "ride>stop", "pages of twenty rides; both ends of each are looked up", async (q, r, s, c) => {
  for (let from = r.some(5000), i = 0; i < 2; i += 1) {
    const rows = await q.selectFrom("ride").selectAll().where("id", ">", from).orderBy("id").limit(Math.min(s, 20)).execute();
    for (const x of rows) { c.add("stop"); await byId(q, "stop", x.from_stop_id); c.add("stop"); await byId(q, "stop", x.to_stop_id); from = x.id; }
  }
});
page("POST alerts/send", "subscription>passenger", "for each subscriber the passenger is read, then a delivery written", async (q, r, s, c) => {
  const subs = await q.selectFrom("subscription").selectAll().where("line_id", ">", r.some(100)).limit(s).execute();
  await c.each("passenger", subs, async (x) => { const p = await byId(q, "passenger", x.passenger_id); await q.insertInto("delivery").values({ alert_id: r.some(400), passenger_id: p.id, state: "late" }).execute(); });
});
page("POST trips/check", "trip>vehicle", "the vehicle of each trip is read before the trip is written", async (q, r, s, c) => {
  await c.each("vehicle", await trips(q, r, s), async (t) => { const v = await byId(q, "vehicle", t.vehicle_id); await q.updateTable("trip").set({ state: v.km > 200000 ? "late" : "planned" }).where("id", "=", t.id).execute(); });
});
page("JOB bill", "card>ride", "the rides of each card are summed and its balance written; a commit after every four cards", async (q, r, s, c, tx) => {
  const cards = await tx((t) => t.selectFrom("card").selectAll().where("id", ">", r.some(1200)).orderBy("id").limit(s).execute());
  for (let i = 0; i < cards.length; i += 4) await tx((t) => c.each("ride", cards.slice(i, i + 4), async (one) => {
    await t.selectFrom("ride").select((e) => e.fn.sum("cents").as("sum")).where("card_number", "=", one.number).executeTakeFirst();
    await t.updateTable("card").set({ balance: one.balance }).where("id", "=", one.id).execute();
  }));
}, own);
page("stops/cached", "stop>zone", "zones go through a cache of the request; each miss is a query", async (q, r, s, c) => {
  const cache = new Map();
  for (const x of await stops(q, r, s)) if (!cache.has(x.zone_code)) { c.add("zone"); cache.set(x.zone_code, await q.selectFrom("zone").selectAll().where("code", "=", x.zone_code).executeTakeFirst()); }
});
page("resolve/lines", "line>operator, line>alert", "resolvers of a field each, without a loader", async (q, r, s, c) => {
  const fields = { operator: (l) => byId(q, "operator", l.operator_id), alert: (l) => q.selectFrom("alert").select(["id", "body"]).where("line_id", "=", l.id).orderBy("id", "desc").limit(3).execute() };
  for (const [name, field] of Object.entries(fields)) await c.each(name, await lines(q, r, s), field);
});
page("incidents/fares", "stop>fare, incident>stop", "a price for the zones of each row, by two columns", async (q, r, s, c) => {
  for (const i of await incidents(q, r, s)) { c.add("stop"); const at = await byId(q, "stop", i.stop_id); c.add("fare"); await q.selectFrom("fare").select("cents").where("zone_from", "=", at.zone_code).where("kind", "=", i.kind).limit(1).execute(); }
});
page("depots", "depot>vehicle, depot>driver", "two counts for each depot", async (q, r, s, c) => {
  for (const d of await q.selectFrom("depot").selectAll().orderBy("name").limit(s).execute()) { c.add("vehicle"); await number(q, "vehicle", "depot_id", d.id); c.add("driver"); await number(q, "driver", "depot_id", d.id); }
});
page("drivers/next", "driver>trip", "the next trip of each driver: an open range and LIMIT 1", async (q, r, s, c) => { const t = new Date(T0 + r.some(30) * 24 * HOUR); await c.each("trip", await drivers(q, r, s), (d) => q.selectFrom("trip").select(["id", "starts"]).where("driver_id", "=", d.id).where("starts", ">", t).orderBy("starts").limit(1).executeTakeFirst()); });
page("incidents/reporters", "incident>driver", "who reported each incident, by the badge on it", async (q, r, s, c) => { await c.each("driver", await incidents(q, r, s), (i) => q.selectFrom("driver").select(["id", "name"]).where("badge", "=", i.reporter_badge).executeTakeFirst()); });
page("passengers/follow", "passenger>subscription", "asked for each passenger: does it follow this line", async (q, r, s, c) => { const line = r.some(110); await c.each("subscription", await passengers(q, r, s), (p) => q.selectFrom("subscription").select("id").where("passenger_id", "=", p.id).where("line_id", "=", line).executeTakeFirst()); });
page("POST repairs/approve", "repair>part", "the part of each repair is locked, its stock lowered; a commit half way", async (q, r, s, c, tx) => {
  const rows = await tx((t) => repairs(t, r, s));
  const half = Math.ceil(rows.length / 2);
  for (const part of [rows.slice(0, half), rows.slice(half)]) await tx((t) => c.each("part", part.sort((a, b) => a.part_id - b.part_id), async (x) => {
    const p = await t.selectFrom("part").selectAll().where("id", "=", x.part_id).forUpdate().executeTakeFirst();
    await t.updateTable("part").set({ stock: Math.max(0, p.stock - 1) }).where("id", "=", p.id).execute();
  }));
}, own);
page("lines/settings", "line>setting", "a setting of the operator of each line is read for each line again", async (q, r, s, c) => { await c.each("setting", await lines(q, r, s), (l) => q.selectFrom("setting").select("value").where("operator_id", "=", l.operator_id).where("name", "=", "s3").executeTakeFirst()); });
page("POST trips/close", "trip>trip", "each trip of the list is read again by its id before it is written", async (q, r, s, c) => {
  await c.each("trip", await trips(q, r, s), async (t) => { const mine = await byId(q, "trip", t.id); await q.updateTable("trip").set({ state: "done", version: mine.version + 1 }).where("id", "=", t.id).execute(); });
});
page("trips/before", "trip>trip", "for each trip the one before it of the same vehicle", async (q, r, s, c) => { await c.each("trip", await trips(q, r, s), (t) => q.selectFrom("trip").select(["id", "starts"]).where("vehicle_id", "=", t.vehicle_id).where("starts", "<", t.starts).orderBy("starts", "desc").limit(1).execute()); });
page("search/passengers", "passenger>passenger", "the hits are ids; each is then read as a whole row", async (q, r, s, c) => { await c.each("passenger", await q.selectFrom("passenger").select("id").where("name", "like", `Passenger ${r.some(9)}%`).limit(s).execute(), (p) => byId(q, "passenger", p.id)); });

page("trips/joined", "", "all of it by one join", (q, r, s) => q.selectFrom("trip").innerJoin("vehicle", "vehicle.id", "trip.vehicle_id").innerJoin("line", "line.id", "trip.line_id").select(["trip.id", "plate", "code"]).where("trip.state", "=", r.pick(STATES)).limit(s).execute());
page("trips/in", "", "the related rows of the page by IN, a query for each relation", async (q, r, s) => { const rows = await trips(q, r, s); await within(q, "vehicle", "id", rows.map((t) => t.vehicle_id)); await within(q, "driver", "id", rows.map((t) => t.driver_id)); await within(q, "line", "id", rows.map((t) => t.line_id)); });
page("resolve/loader", "", "resolvers behind a batch loader: a query for each level", async (q, r, s) => {
  const rows = await lines(q, r, s);
  const at = await within(q, "line_stop", "line_id", rows.map((l) => l.id));
  const places = await within(q, "stop", "id", at.map((x) => x.stop_id));
  await within(q, "zone", "code", places.map((x) => x.zone_code));
});
page("lines/grouped", "", "counts by GROUP BY", (q, r, s) => q.selectFrom("trip").select(["line_id", (e) => e.fn.countAll().as("n")]).where("line_id", "<=", 2 * s).groupBy("line_id").execute());
page("dashboard", "", "many different questions, each once", async (q, r) => {
  for (const t of ["trip", "ride", "incident", "repair", "alert", "passenger", "card"]) await q.selectFrom(t).select((e) => e.fn.countAll().as("n")).executeTakeFirst();
  await trips(q, r, 5); await incidents(q, r, 5); await alerts(q, r, 5); await repairs(q, r, 5);
});
page("export/all", "", "keyset paging over the rides", async (q, r) => { let from = r.some(3000); for (let i = 0; i < 7; i += 1) { const rows = await q.selectFrom("ride").selectAll().where("id", ">", from).orderBy("id").limit(40).execute(); if (rows.length) from = rows[rows.length - 1].id; } });
page("export/chunks", "", "cards of a list of rides, by IN in chunks of eight", async (q, r) => { const rows = await rides(q, r, 64); for (let i = 0; i < rows.length; i += 8) await within(q, "card", "number", rows.slice(i, i + 8).map((x) => x.card_number)); });
page("POST passengers/import", "", "lines of a file: each address is asked for, then inserted", async (q, r, s) => {
  for (let i = 0; i < s; i += 1) { const email = `n${r.some(1e8)}@example.org`; if (!(await q.selectFrom("passenger").select("id").where("email", "=", email).executeTakeFirst())) await q.insertInto("passenger").values({ name: "New", email, home_stop_id: r.some(700) }).execute(); }
});
page("POST rides/batch", "", "one INSERT of many rows", (q, r, s) => q.insertInto("ride").values(Array.from({ length: s }, () => ({ trip_id: r.some(2600), card_number: `C${9999 + r.some(1300)}`, from_stop_id: r.some(700), to_stop_id: r.some(700), cents: 200, at: new Date(T0) }))).execute());
page("task/poll", "", "the state of one task is asked until it has been asked often enough", async (q, r) => { const id = r.some(900); for (let i = 0; i < 8; i += 1) { await q.selectFrom("task").select("state").where("id", "=", id).executeTakeFirst(); await new Promise((done) => setTimeout(done, 4)); } });
page("POST trip/retry", "", "an optimistic lock is lost and taken again: read and written up to six times, one row", async (q, r) => { const id = r.some(2600); for (let i = 0; i < 6; i += 1) { const t = await byId(q, "trip", id); await q.updateTable("trip").set({ version: t.version + 1 }).where("id", "=", id).where("version", "=", t.version - (i < 5 ? 1 : 0)).execute(); } });
page("JOB worker", "", "a worker takes task after task, a transaction for each", async (q, r, s, c, tx) => {
  for (let i = 0; i < 8; i += 1) await tx(async (t) => { const one = await t.selectFrom("task").selectAll().where("state", "=", "open").orderBy("id").limit(1).forUpdate().skipLocked().executeTakeFirst(); if (one) await t.updateTable("task").set({ state: "done" }).where("id", "=", one.id).execute(); });
}, own);
page("JOB deliveries", "", "a worker takes a delivery, reads whom it is for, and commits; nothing lists them", async (q, r, s, c, tx) => {
  for (let i = 0; i < 7; i += 1) await tx(async (t) => { const d = await t.selectFrom("delivery").selectAll().where("state", "=", "planned").limit(1).forUpdate().skipLocked().executeTakeFirst(); if (d) { await byId(t, "passenger", d.passenger_id); await t.updateTable("delivery").set({ state: "done" }).where("id", "=", d.id).execute(); } });
}, own);
page("settings", "", "eight settings by name, a constant list", async (q, r) => { const o = r.some(7); for (let i = 0; i < 8; i += 1) await q.selectFrom("setting").select("value").where("operator_id", "=", o).where("name", "=", `s${i}`).executeTakeFirst(); });
page("week", "", "a count for each of seven days", async (q, r) => { const d = T0 + r.some(50) * 24 * HOUR; for (let i = 0; i < 7; i += 1) await q.selectFrom("trip").select((e) => e.fn.countAll().as("n")).where("starts", ">=", new Date(d + i * 24 * HOUR)).where("starts", "<", new Date(d + (i + 1) * 24 * HOUR)).executeTakeFirst(); });
page("complete", "", "what is typed, letter after letter", async (q, r) => { const w = `Stop ${1000 + r.some(8000)}`; for (let i = 4; i <= w.length; i += 1) await q.selectFrom("stop").select(["id", "name"]).where("name", "like", w.slice(0, i) + "%").limit(6).execute(); });
page("compare", "", "vehicles that the client chose, after a list of something else", async (q, r, s) => { await alerts(q, r, s); for (let i = 0; i < 6; i += 1) await byId(q, "vehicle", r.some(420)); });
page("trip", "", "one trip and what belongs to it", async (q, r) => { const t = await byId(q, "trip", r.some(2600)); await byId(q, "vehicle", t.vehicle_id); await byId(q, "driver", t.driver_id); await byId(q, "line", t.line_id); await many(q, "ride", "trip_id", t.id); await many(q, "incident", "trip_id", t.id); });
page("driver", "", "one driver, the depot, the trips with their lines by IN", async (q, r) => { const d = await byId(q, "driver", r.some(500)); await byId(q, "depot", d.depot_id); const t = await many(q, "trip", "driver_id", d.id); await within(q, "line", "id", t.map((x) => x.line_id)); });
page("board", "", "one stop: its lines and their next trips by one join", async (q, r) => { const x = await byId(q, "stop", r.some(700)); await q.selectFrom("line_stop").innerJoin("trip", "trip.line_id", "line_stop.line_id").select(["trip.id", "trip.starts"]).where("stop_id", "=", x.id).orderBy("starts").limit(10).execute(); });
page("incidents/nested", "", "notes as JSON by a correlated subquery, in one statement", (q, r, s) => sql`SELECT i.id, (SELECT json_agg(n) FROM note n WHERE n.incident_id = i.id) AS notes FROM incident i ORDER BY i.at LIMIT ${s}`.execute(q));
page("zones/shares", "", "a count for each zone of a constant list", async (q) => { for (const z of ZONES) await number(q, "stop", "zone_code", z); });
page("POST vehicles/km", "", "a form of many rows: an UPDATE for each, by ids of the client", async (q, r, s) => { const ids = Array.from({ length: s }, () => r.some(420)).sort((a, b) => a - b); for (const id of ids) await q.updateTable("vehicle").set({ km: r.some(400000) }).where("id", "=", id).execute(); });
page("POST alerts/prune", "", "rows of a list are deleted one by one: writes only", async (q, r, s) => { for (const d of await q.selectFrom("delivery").select("id").where("state", "=", "cancelled").orderBy("id").limit(Math.min(s, 8)).forUpdate().execute()) await q.deleteFrom("delivery").where("id", "=", d.id).execute(); });
page("POST transfer", "", "from one card to another: both locked, both written", async (q, r) => { for (const id of [r.some(600), 600 + r.some(600)]) { await q.selectFrom("card").selectAll().where("id", "=", id).forUpdate().execute(); await q.updateTable("card").set({ balance: 1 }).where("id", "=", id).execute(); } });
page("whoami", "", "one row is asked for again by each layer of the code", async (q, r) => { const id = r.some(500); for (let i = 0; i < 6; i += 1) await byId(q, "driver", id); });

const PUBLIC = new Set(["JOB bill", "JOB worker", "JOB deliveries", "board", "complete", "week"]);

async function serve([count, seed, mode, file]) {
  const draw = random(Number(seed));
  const jobs = Array.from({ length: Number(count) }, (_, i) => ({ id: `${seed}-${i}`, number: i, route: draw.pick(Object.keys(pages)) }));
  const tx = (work) => (mode === "transaction" ? db.transaction().execute(work) : work(db));
  const truth = [];
  const run = async (job) => {
    const { work, own: alone } = pages[job.route];
    const r = random(911 * Number(seed) + job.number);
    const calls = new Calls();
    const size = r.pick(SIZES);
    const enter = async (q) => { if (!PUBLIC.has(job.route)) { const [mine] = await many(q, "login", "token", `t${r.some(119)}`); await byId(q, "driver", mine.driver_id); } };
    if (alone) { if (!PUBLIC.has(job.route)) await tx(enter); await work(db, r, size, calls, tx); }
    else await tx(async (q) => { await enter(q); await work(q, r, size, calls, tx); });
    return calls;
  };
  const loop = async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) {
      const start = Date.now() / 1000;
      const calls = await request.run(job, () => run(job));
      const labelled = pages[job.route].label.split(", ").map((one) => one.split(">")[1]);
      for (const table of Object.keys(calls)) if (!labelled.includes(table)) throw new Error(`${job.route} does not do what its label says: ${table}`);
      const found = Object.keys(calls).filter((table) => calls[table] >= LEAST).sort();
      truth.push({ route: job.route, start, end: Date.now() / 1000, session: "", unit: null, request: job.id, n_plus_one: found });
      await new Promise((done) => setTimeout(done, 1 + 5 * draw.next()));
    }
  };
  await Promise.all(Array.from({ length: 5 }, loop));
  fs.writeFileSync(file, truth.map((line) => JSON.stringify(line) + "\n").join(""));
}

const labels = async () => {
  console.log(["page", "parent>child of each N+1", "why"].join("\t"));
  for (const [route, { label, why }] of Object.entries(pages)) console.log([route, label || "none", why].join("\t"));
};

({ fill, labels, serve: () => serve(process.argv.slice(4)) })[verb]().then(() => pool.end(), (error) => { console.error(error); process.exit(1); });
