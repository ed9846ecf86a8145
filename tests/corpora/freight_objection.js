// Corpus "freight": the application. Objection 3 on knex, a pool of five connections, six requests at a time.
//   node freight_objection.js fill  CLIENT PORT
//   node freight_objection.js serve CLIENT PORT COUNT SEED transaction|autocommit TRUTH
"use strict";
const { AsyncLocalStorage } = require("async_hooks");
const fs = require("fs");
const Knex = require("knex");
const { Model, raw } = require("objection");

const [, , verb, client, port] = process.argv;
const SIZES = [5, 8, 12, 20, 30];
const ZONES = ["A", "B", "C", "D", "E", "F"];
const STATES = ["booked", "collected", "hub", "customs", "van", "delivered", "lost"];
const START = Date.UTC(2026, 2, 1);
const HOUR = 3600e3;
const request = new AsyncLocalStorage();

const knex = Knex({
  client,
  pool: { min: 2, max: 5 },
  connection: {
    host: "127.0.0.1",
    port: Number(port),
    user: client === "pg" ? "postgres" : "root",
    database: "shop",
    ...(client === "pg" ? {} : { timezone: "Z" }),
  },
});

// Each statement names its request, as sqlcommenter does.
const prototype = Object.getPrototypeOf(knex.client); // transactions have a client of their own
const send = prototype._query;
function commented(connection, query) {
  const now = request.getStore();
  if (now && query.sql) query.sql += ` /*request_id='${now.id}',route='${encodeURIComponent(now.route)}'*/`;
  return send.call(this, connection, query);
}
prototype._query = commented;

function random(seed) {
  let a = seed >>> 0;
  const next = () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return { some: (last) => 1 + Math.floor(next() * last), pick: (list) => list[Math.floor(next() * list.length)], next };
}

class Base extends Model {
  static hasMany(model, to) {
    return { relation: Model.HasManyRelation, modelClass: model, join: { from: `${this.tableName}.id`, to } };
  }
  static belongsTo(model, from) {
    return { relation: Model.BelongsToOneRelation, modelClass: model, join: { from, to: `${model.tableName}.id` } };
  }
  static through(model, from, to) {
    return {
      relation: Model.ManyToManyRelation,
      modelClass: model,
      join: { from: `${this.tableName}.id`, through: { from, to }, to: `${model.tableName}.id` },
    };
  }
}
const model = (tableName, relations = () => ({})) =>
  class extends Base {
    static get tableName() {
      return tableName;
    }
    static get relationMappings() {
      return relations(this);
    }
  };

const Login = model("login");
const Setting = model("setting");
const Carrier = model("carrier", (m) => ({ vehicles: m.hasMany(Vehicle, "vehicle.carrier_id") }));
const Depot = model("depot", (m) => ({
  vehicles: m.hasMany(Vehicle, "vehicle.depot_id"),
  staff: m.hasMany(Employee, "employee.depot_id"),
}));
const Vehicle = model("vehicle", (m) => ({
  tours: m.hasMany(Tour, "tour.vehicle_id"),
  carrier: m.belongsTo(Carrier, "vehicle.carrier_id"),
}));
const Tour = model("tour", (m) => ({ vehicle: m.belongsTo(Vehicle, "tour.vehicle_id") }));
const Position = model("position");
const Employee = model("employee", (m) => ({
  manager: m.belongsTo(Employee, "employee.manager_id"),
  mentors: m.through(Employee, "mentoring.pupil_id", "mentoring.mentor_id"),
}));
const Customer = model("customer", (m) => ({
  shipments: m.hasMany(Shipment, "shipment.customer_id"),
  account: m.belongsTo(Employee, "customer.agent_id"),
}));
const Shipment = model("shipment", (m) => ({
  customer: m.belongsTo(Customer, "shipment.customer_id"),
  parcels: m.hasMany(Parcel, "parcel.shipment_id"),
  carrier: m.belongsTo(Carrier, "shipment.carrier_id"),
}));
const Parcel = model("parcel", (m) => ({
  shipment: m.belongsTo(Shipment, "parcel.shipment_id"),
  scans: m.hasMany(Scan, "scan.parcel_id"),
  tags: m.through(Tag, "parcel_tag.parcel_id", "parcel_tag.tag_id"),
}));
const Scan = model("scan");
const Tag = model("tag");
const Tariff = model("tariff");
const Voucher = model("voucher");
const Note = model("note");
const Job = model("job");
const Favourite = model("favourite");

async function fill() {
  const r = random(4711);
  const integers = (t, ...names) => names.forEach((name) => t.integer(name).index());
  const tables = {
    login: [80, (t) => (t.string("token", 40).index(), integers(t, "employee_id")), (i) => ({ token: `tok${i}`, employee_id: r.some(60) })],
    setting: [30, (t) => (t.string("key", 40).index(), t.string("value", 80)), (i) => ({ key: `k${i}`, value: `v${i}` })],
    carrier: [12, (t) => t.string("name", 40), (i) => ({ name: `Carrier ${i}` })],
    depot: [40, (t) => (t.string("name", 40), t.string("zone", 4).index()), (i) => ({ name: `Depot ${i}`, zone: r.pick(ZONES) })],
    vehicle: [160, (t) => (integers(t, "depot_id", "carrier_id"), t.string("plate", 12)), (i) => ({ depot_id: r.some(40), carrier_id: r.some(12), plate: `P-${i}` })],
    tour: [900, (t) => (integers(t, "vehicle_id"), t.dateTime("begins").index(), t.dateTime("ends")), () => {
      const begins = START + r.some(1000) * HOUR;
      return { vehicle_id: r.some(160), begins: new Date(begins), ends: new Date(begins + r.some(10) * HOUR) };
    }],
    position: [4000, (t) => (integers(t, "vehicle_id"), t.dateTime("seen").index(), t.double("lat")), () => ({ vehicle_id: r.some(160), seen: new Date(START + r.some(60000) * 60e3), lat: 40 + 10 * r.next() })],
    employee: [90, (t) => (integers(t, "depot_id", "manager_id"), t.string("name", 40)), (i) => ({ depot_id: r.some(12), manager_id: i < 4 ? null : r.some(30), name: `Worker ${i}` })],
    mentoring: [260, (t) => integers(t, "pupil_id", "mentor_id"), () => ({ pupil_id: r.some(90), mentor_id: r.some(90) })],
    customer: [300, (t) => (integers(t, "agent_id"), t.string("name", 40), t.string("zone", 4).index()), (i) => ({ agent_id: r.some(60), name: `Customer ${i}`, zone: r.pick(ZONES) })],
    shipment: [1200, (t) => (integers(t, "customer_id", "carrier_id"), t.string("zone", 4), t.string("state", 12).index(), t.string("voucher", 12), t.dateTime("booked").index()), () => ({ customer_id: r.some(300), carrier_id: r.some(12), zone: r.pick(ZONES), state: r.pick(STATES), voucher: `V${r.some(200)}`, booked: new Date(START + r.some(1000) * HOUR) })],
    parcel: [3000, (t) => (integers(t, "shipment_id"), t.integer("grams"), t.string("code", 20).index()), (i) => ({ shipment_id: r.some(1200), grams: r.some(20000), code: `C${i}` })],
    scan: [9000, (t) => (integers(t, "parcel_id", "depot_id"), t.dateTime("seen").index()), () => ({ parcel_id: r.some(3000), depot_id: r.some(40), seen: new Date(START + r.some(60000) * 60e3) })],
    tag: [25, (t) => t.string("name", 20), (i) => ({ name: `tag ${i}` })],
    parcel_tag: [4000, (t) => integers(t, "parcel_id", "tag_id"), () => ({ parcel_id: r.some(3000), tag_id: r.some(25) })],
    tariff: [72, (t) => (integers(t, "carrier_id"), t.string("zone", 4).index(), t.integer("cents")), (i) => ({ carrier_id: 1 + (i % 12), zone: ZONES[Math.floor(i / 12)], cents: r.some(5000) })],
    voucher: [200, (t) => (t.string("code", 12).index(), t.integer("percent")), (i) => ({ code: `V${i + 1}`, percent: r.some(30) })],
    note: [3000, (t) => (t.string("about", 12), integers(t, "about_id", "author_id"), t.string("body", 80)), () => ({ about: r.pick(["parcel", "shipment", "customer"]), about_id: r.some(1200), author_id: r.some(90), body: "fragile" })],
    job: [400, (t) => (t.string("state", 12).index(), integers(t, "parcel_id", "tries")), () => ({ state: "queued", parcel_id: r.some(3000), tries: 0 })],
    favourite: [900, (t) => integers(t, "employee_id", "customer_id"), () => ({ employee_id: r.some(90), customer_id: r.some(300) })],
  };
  for (const [name, [count, columns, row]] of Object.entries(tables)) {
    await knex.schema.createTable(name, (t) => {
      t.increments("id");
      columns(t);
    });
    await knex.batchInsert(name, Array.from({ length: count }, (_, i) => row(i)), 500);
  }
}

const someShipments = (q, r, n) => Shipment.query(q).orderBy("booked").orderBy("id").limit(n).offset(r.some(900));
const someParcels = (q, r, n) => Parcel.query(q).where("grams", ">", r.some(4000)).orderBy("id").limit(n).offset(r.some(900));
const someCustomers = (q, r, n) => Customer.query(q).where("zone", r.pick(ZONES)).orderBy("name").limit(n);

// Each page does a request's work and returns the tables that it asked once for each row of something, and how often.
const positives = {
  async "GET /shipments"(q, r, n) {
    const rows = await someShipments(q, r, n);
    for (const one of rows) one.parts = await one.$relatedQuery("parcels", q);
    return { parcel: rows.length };
  },
  async "GET /parcels"(q, r, n) {
    const rows = await someParcels(q, r, n);
    for (const one of rows) one.owner = await one.$relatedQuery("shipment", q);
    return { shipment: rows.length };
  },
  async "GET /depots"(q, r, n) {
    const depots = await Depot.query(q).orderBy("name").limit(Math.max(3, Math.ceil(n / 3))).offset(r.some(20));
    let vehicles = 0;
    for (const depot of depots)
      for (const vehicle of await depot.$relatedQuery("vehicles", q)) {
        await vehicle.$relatedQuery("tours", q).orderBy("begins");
        vehicles += 1;
      }
    return { vehicle: depots.length, tour: vehicles };
  },
  async "GET /shipments/weights"(q, r, n) {
    const rows = await someShipments(q, r, n);
    for (const one of rows) await one.$relatedQuery("parcels", q).resultSize();
    return { parcel: rows.length };
  },
  async "GET /parcels/tags"(q, r, n) {
    const rows = await someParcels(q, r, n);
    for (const one of rows) await one.$relatedQuery("tags", q);
    return { tag: rows.length };
  },
  async "GET /shipments/prices"(q, r, n) {
    const rows = await someShipments(q, r, n);
    await Setting.query(q).findOne({ key: "k2" });
    for (const one of rows) await Tariff.query(q).findOne({ carrier_id: one.carrier_id, zone: one.zone });
    return { tariff: rows.length };
  },
  async "GET /parcels/last"(q, r, n) {
    const rows = await someParcels(q, r, n);
    for (const one of rows) await Scan.query(q).where("parcel_id", one.id).orderBy("seen", "desc").first();
    return { scan: rows.length };
  },
  async "GET /tours/track"(q, r, n) {
    const rows = await Tour.query(q).where("begins", ">=", new Date(START + r.some(700) * HOUR)).orderBy("begins").limit(n);
    for (const one of rows)
      await Position.query(q).where("vehicle_id", one.vehicle_id).whereBetween("seen", [one.begins, one.ends]);
    return { position: rows.length };
  },
  async "GET /agents"(q, r, n) {
    const rows = await someCustomers(q, r, n);
    for (const one of rows) await q.raw("SELECT e.name FROM employee e WHERE e.id = ?", [one.agent_id]);
    return { employee: rows.length };
  },
  async "GET /staff"(q, r, n) {
    const depot = await Depot.query(q).findById(r.some(12));
    const rows = await depot.$relatedQuery("staff", q).orderBy("name").limit(n);
    let asked = 0;
    for (const one of rows)
      if (one.manager_id) {
        await one.$relatedQuery("manager", q);
        asked += 1;
      }
    return { employee: asked };
  },
  async "GET /mentors"(q, r, n) {
    const rows = await Employee.query(q).orderBy("name").limit(n).offset(r.some(50));
    for (const one of rows) await one.$relatedQuery("mentors", q);
    return { employee: rows.length };
  },
  async "GET /customers"(q, r, n) {
    const rows = await someCustomers(q, r, n);
    for (const one of rows) {
      await one.$relatedQuery("shipments", q).where("state", "hub").resultSize();
      await Note.query(q).where({ about: "customer", about_id: one.id }).orderBy("id", "desc").first();
    }
    return { shipment: rows.length, note: rows.length };
  },
  async "GET /board"(q, r, n) {
    const rows = await someShipments(q, r, n);
    await Promise.all(rows.map((one) => one.$relatedQuery("customer", q)));
    return { customer: rows.length };
  },
  async "GET /vouchers"(q, r, n) {
    const rows = await someShipments(q, r, n);
    for (const one of rows) await Voucher.query(q).select("percent").findOne("code", one.voucher);
    return { voucher: rows.length };
  },
  async "GET /favourites"(q, r, n) {
    const me = r.some(90);
    const rows = await someCustomers(q, r, n);
    for (const one of rows) await Favourite.query(q).where({ employee_id: me, customer_id: one.id }).resultSize();
    return { favourite: rows.length };
  },
  async "GET /manifest"(q, r, n) {
    const late = (await someShipments(q, r, n)).filter((one) => one.state !== "delivered");
    for (const one of late) await one.$relatedQuery("carrier", q);
    return { carrier: late.length };
  },
};

const negatives = {
  async "GET /eager"(q, r, n) {
    await someShipments(q, r, n).withGraphFetched("[parcels.tags, customer]");
  },
  async "GET /joined"(q, r, n) {
    await Parcel.query(q).withGraphJoined("shipment.customer").where("parcel.id", "<", r.some(900)).orderBy("parcel.id").limit(n);
    await Parcel.query(q).resultSize();
  },
  async "GET /chunks"(q, r, n) {
    const rows = await someParcels(q, r, 5 * n);
    for (let i = 0; i < rows.length; i += 10)
      await Scan.query(q).whereIn("parcel_id", rows.slice(i, i + 10).map((one) => one.id));
  },
  async "GET /settings"(q, r, n) {
    await someCustomers(q, r, n);
    for (const i of [1, 2, 3, 5, 8, 13, 21]) await Setting.query(q).findOne({ key: `k${i}` });
  },
  async "GET /dashboard"(q, r, n) {
    await someShipments(q, r, n);
    for (const state of STATES) await Shipment.query(q).where({ state }).resultSize();
  },
  async "GET /zones"(q) {
    await Carrier.query(q).orderBy("name");
    for (const zone of ZONES) await Depot.query(q).where({ zone }).orderBy("id").limit(3);
  },
  async "GET /export"(q, r) {
    let last = r.some(2000);
    for (let page = 0; page < 4 + r.some(5); page += 1) {
      const rows = await Parcel.query(q).where("id", ">", last).orderBy("id").limit(25);
      if (!rows.length) break;
      last = rows[rows.length - 1].id;
    }
  },
  async "GET /pages"(q, r) {
    const total = await Customer.query(q).where("zone", r.pick(ZONES)).resultSize();
    for (let offset = 0; offset < Math.min(total, 40); offset += 6) await Customer.query(q).orderBy("id").limit(6).offset(offset);
  },
  async "GET /wait"(q, r) {
    const job = r.some(400);
    for (let i = 0; i < 5 + r.some(6); i += 1) await Job.query(q).findById(job);
  },
  async "POST /retry"(q, r) {
    const job = await Job.query(q).findById(r.some(400));
    for (let tries = 1; tries < 5 + r.some(3); tries += 1) {
      await Job.query(q).patch({ tries }).where({ id: job.id });
      await Parcel.query(q).findById(job.parcel_id);
    }
  },
  async "POST /work"(q, r) {
    for (let i = 0; i < 5 + r.some(4); i += 1) {
      const job = await Job.query(q).where({ state: "queued" }).orderBy("id").first();
      if (!job) break;
      await Parcel.query(q).findById(job.parcel_id);
      await Job.query(q).patch({ state: "done" }).where({ id: job.id });
    }
  },
  async "POST /lookup"(q, r, n) {
    await Tag.query(q).orderBy("name"); // the codes come from the client
    for (let i = 0; i < n; i += 1) await Parcel.query(q).findOne({ code: `C${r.some(2900)}` });
  },
  async "GET /same"(q, r, n) {
    for (const one of await someCustomers(q, r, n)) if (one) await Setting.query(q).findOne({ key: "k7" });
  },
  async "GET /three"(q, r) {
    for (const one of await someShipments(q, r, 3)) await one.$relatedQuery("parcels", q);
  },
  async "POST /import"(q, r, n) {
    for (let i = 0; i < n; i += 1)
      await Note.query(q).insert({ about: "parcel", about_id: r.some(1200), author_id: r.some(90), body: "wet" });
  },
  async "POST /scans"(q, r, n) {
    const rows = await someParcels(q, r, n);
    await Scan.query(q).insertGraph(rows.slice(0, 1).map((one) => ({ parcel_id: one.id, depot_id: 3, seen: new Date(START) })));
    await q("scan").insert(rows.map((one) => ({ parcel_id: one.id, depot_id: 4, seen: new Date(START) })));
  },
  async "POST /codes"(q, r, n) {
    for (let i = 0; i < n; i += 1) {
      const code = `N${r.some(1e9)}`;
      if (!(await Voucher.query(q).where({ code }).resultSize())) await Voucher.query(q).insert({ code, percent: 3 });
    }
  },
  async "POST /release"(q, r, n) {
    for (const one of await Job.query(q).where({ state: "queued" }).orderBy("id", "desc").limit(n))
      await Job.query(q).patch({ tries: raw("tries + 1") }).where({ id: one.id });
  },
  async "GET /calendar"(q, r) {
    const day = START + r.some(40) * 24 * HOUR;
    await Vehicle.query(q).orderBy("id").limit(5);
    for (let hour = 0; hour < 24; hour += 1)
      await Tour.query(q).whereBetween("begins", [new Date(day + hour * HOUR), new Date(day + hour * HOUR + HOUR - 1000)]).resultSize();
  },
  async "GET /profile"(q, r) {
    const one = await Customer.query(q).findById(r.some(300));
    await one.$relatedQuery("account", q);
    await one.$relatedQuery("shipments", q).orderBy("booked", "desc").limit(5);
    await Note.query(q).where({ about: "customer", about_id: one.id });
  },
};
const PUBLIC = new Set(["GET /parcels/last", "GET /zones", "POST /work", "POST /retry", "GET /wait"]);

async function serve([count, seed, mode, file]) {
  const pages = { ...positives, ...negatives };
  const draw = random(Number(seed));
  const jobs = Array.from({ length: Number(count) }, (_, id) => ({ id: `${seed}-${id}`, route: draw.pick(Object.keys(pages)) }));
  const truth = [];
  const work = async (q, job, r) => {
    if (!PUBLIC.has(job.route)) {
      const login = await Login.query(q).findOne({ token: `tok${r.some(79)}` });
      await Employee.query(q).findById(login.employee_id);
    }
    return pages[job.route](q, r, r.pick(SIZES));
  };
  const loop = async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) {
      const now = job;
      const r = random(1000003 * Number(seed) + Number(now.id.split("-")[1]));
      const start = Date.now() / 1000;
      const calls = await request.run(now, () =>
        mode === "transaction" ? knex.transaction((q) => work(q, now, r)) : work(knex, now, r),
      );
      const found = Object.keys(calls || {}).filter((table) => calls[table] >= 5).sort();
      truth.push({ route: now.route, start, end: Date.now() / 1000, session: "", unit: null, request: now.id, n_plus_one: found });
      await new Promise((done) => setTimeout(done, 2 + 6 * draw.next()));
    }
  };
  await Promise.all(Array.from({ length: 6 }, loop));
  fs.writeFileSync(file, truth.map((line) => JSON.stringify(line) + "\n").join(""));
}

(verb === "fill" ? fill() : serve(process.argv.slice(5))).then(() => knex.destroy(), (error) => {
  console.error(error);
  process.exit(1);
});
