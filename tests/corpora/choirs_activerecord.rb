# Corpus "choirs": the application. A federation of choirs on ActiveRecord, a pool of four connections, six requests at a time.
#   ruby choirs_activerecord.rb labels
#   ruby choirs_activerecord.rb fill  PORT
#   ruby choirs_activerecord.rb serve PORT COUNT SEED transaction|autocommit TRUTH
# frozen_string_literal: true

require "erb"
require "json"
require "active_record"
require "active_support/all"
require "batch_loader"
require "graphql"
require "kaminari/activerecord"

VERB, PORT, *REST = ARGV
SIZES = [5, 8, 12, 20, 30, 50].freeze
STATES = %w[open held paid closed void].freeze
VOICES = %w[soprano alto tenor bass].freeze
KINDS = %w[mixed chamber children gospel].freeze
RIGHTS = %w[read write refund invite publish audit].freeze
LOCALES = %w[en de fr].freeze
PILOTS = [2, 3, 5, 7, 9, 11].freeze
T0 = Time.utc(2026, 3, 1)
LEAST = 5
CACHE = ActiveSupport::Cache::MemoryStore.new

# ---- models
class ApplicationRecord < ActiveRecord::Base
  self.abstract_class = true
  self.belongs_to_required_by_default = true # as in a new Rails application
end

class Region < ApplicationRecord
  has_many :choirs
  has_many :venues
  has_many :settings
end

class Choir < ApplicationRecord
  belongs_to :region
  belongs_to :conductor, class_name: "Person"
  has_many :memberships
  has_many :people, through: :memberships
  has_many :concerts
  has_many :rehearsals
  has_many :fees
  has_many :sponsorships
  has_many :sponsors, through: :sponsorships
  has_many :photos, as: :owner
  has_and_belongs_to_many :languages
  delegate :name, to: :region, prefix: true
  scope :listed, -> { where.not(state: "void").order(:name) }
end

class Person < ApplicationRecord
  belongs_to :referrer, class_name: "Person", optional: true
  has_many :memberships
  has_many :orders
  has_many :loans
  has_many :grants
  has_many :posts, foreign_key: :author_id
  validates :email, presence: true, uniqueness: { case_sensitive: false }

  def may?(right)
    grants.exists?(name: right)
  end
end

class Membership < ApplicationRecord
  belongs_to :choir
  belongs_to :person
end

class Language < ApplicationRecord; end

class Venue < ApplicationRecord
  belongs_to :region
  has_many :concerts
end

class Rehearsal < ApplicationRecord
  belongs_to :choir
  belongs_to :venue
  has_many :attendances
  scope :during, ->(from, to) { where("starts_at < ? AND ends_at > ?", to, from) }
end

class Attendance < ApplicationRecord
  belongs_to :rehearsal
  belongs_to :membership
end

class Composer < ApplicationRecord
  has_many :works
end

class Work < ApplicationRecord
  belongs_to :composer
  belongs_to :whole, class_name: "Work", optional: true
  has_many :movements, class_name: "Work", foreign_key: :whole_id
  has_many :copies
  has_many :taggings, as: :taggable
  has_many :tags, through: :taggings
end

class Tag < ApplicationRecord; end

class Tagging < ApplicationRecord
  belongs_to :tag
  belongs_to :taggable, polymorphic: true
end

class Copy < ApplicationRecord
  belongs_to :work
  has_many :loans, primary_key: :barcode, foreign_key: :copy_barcode
end

class Loan < ApplicationRecord
  belongs_to :copy, primary_key: :barcode, foreign_key: :copy_barcode
  belongs_to :person
end

class Concert < ApplicationRecord
  belongs_to :venue
  belongs_to :choir
  has_many :programme_items
  has_many :works, through: :programme_items
  has_many :orders
  has_many :ticket_types

  def following
    Concert.where(choir_id: choir_id).where("starts_at > ?", starts_at).order(:starts_at).first
  end
end

class ProgrammeItem < ApplicationRecord
  belongs_to :concert
  belongs_to :work
end

class TicketType < ApplicationRecord
  belongs_to :concert
end

class Order < ApplicationRecord
  belongs_to :person
  belongs_to :concert
  has_many :tickets, dependent: :destroy
end

class Ticket < ApplicationRecord
  belongs_to :order
  belongs_to :ticket_type
end

class Contest < ApplicationRecord
  belongs_to :region
  has_many :entries
end

class Entry < ApplicationRecord
  belongs_to :contest
  belongs_to :choir
  has_many :marks
end

class Mark < ApplicationRecord
  belongs_to :entry
  belongs_to :juror, class_name: "Person"
end

class Fee < ApplicationRecord
  belongs_to :choir
end

class Rate < ApplicationRecord; end

class Sponsor < ApplicationRecord; end

class Sponsorship < ApplicationRecord
  belongs_to :choir
  belongs_to :sponsor
end

class Post < ApplicationRecord
  belongs_to :author, class_name: "Person"
  belongs_to :choir
  has_many :comments, as: :commentable
end

class Comment < ApplicationRecord
  belongs_to :commentable, polymorphic: true
  belongs_to :author, class_name: "Person"
  has_many :answers, class_name: "Comment", foreign_key: :parent_id
end

class Photo < ApplicationRecord
  belongs_to :owner, polymorphic: true
end

class Audit < ApplicationRecord
  belongs_to :subject, polymorphic: true
end

class Notification < ApplicationRecord
  belongs_to :person
  belongs_to :choir
end

class Setting < ApplicationRecord
  def self.read(region_id, name)
    find_by(region_id: region_id, name: name)&.value
  end
end

class Translation < ApplicationRecord; end

class Grant < ApplicationRecord
  belongs_to :person
end

class Session < ApplicationRecord
  belongs_to :person
end

class Job < ApplicationRecord; end

MODELS = ApplicationRecord.subclasses.freeze

# ---- serializers, helpers and templates
class Serializer
  def self.attributes(*names)
    names.each { |name| (@attributes ||= []) << [name, nil] }
  end

  def self.one(name, serializer)
    (@attributes ||= []) << [name, serializer]
  end

  def self.call(record)
    return if record.nil?

    @attributes.to_h { |name, nested| [name, nested ? nested.call(record.public_send(name)) : record.public_send(name)] }
  end
end

class RegionSerializer < Serializer
  attributes :id, :name
end

class ChoirSerializer < Serializer
  attributes :id, :name, :kind
  one :region, RegionSerializer
end

class VenueSerializer < Serializer
  attributes :id, :name, :capacity
end

class RehearsalSerializer < Serializer
  attributes :id, :starts_at
  one :choir, ChoirSerializer
  one :venue, VenueSerializer
end

TEMPLATES = {
  choirs: <<~HTML,
    <table><% choirs.each do |choir| %>
      <tr><td><%= choir.name %></td><td><%= choir.region_name %></td><td><%= choir.conductor.name %></td></tr>
    <% end %></table>
  HTML
  cards: <<~HTML,
    <% choirs.each do |choir| %>
      <h3><%= choir.name %></h3> <%= choir.memberships.count %> singers, <%= choir.concerts.count %> concerts
    <% end %>
  HTML
  members: <<~HTML,
    <h1><%= choir.name %></h1><ul><% members.each do |member| %><li><%= singer(member) %> (<%= member.voice %>)</li><% end %></ul>
  HTML
  feed: <<~HTML,
    <feed><% posts.each do |post| %><entry><title><%= post.title %></title><author><%= post.author.name %></author>
      <n><%= post.comments.count %></n></entry><% end %></feed>
  HTML
  gallery: <<~HTML,
    <% choirs.each do |choir| %><img alt="<%= choir.name %>" src="<%= choir.photos.order(:id).first&.url %>"><% end %>
  HTML
  catalogue: <<~HTML,
    <ul><% works.each do |work| %><li><%= work.title %>: <%= work.tags.map(&:name).join(", ") %></li><% end %></ul>
  HTML
  works: <<~HTML,
    <h1><%= t.call("works.title") %></h1><p><%= t.call("works.intro") %></p>
    <table><tr><% %w[title composer catalogue difficulty copies].each do |k| %><th><%= t.call("works." + k) %></th><% end %></tr>
    <% works.each do |work| %><tr><td><%= work.title %></td><td><%= work.composer.name %></td></tr><% end %></table>
  HTML
}.transform_values { |text| ERB.new(text) }

module Helpers
  module_function

  def singer(member)
    member.person.name.titleize
  end
end

def render(name, **locals)
  view = Object.new.extend(Helpers)
  place = view.instance_eval { binding }
  locals.each { |key, value| place.local_variable_set(key, value) }
  TEMPLATES.fetch(name).result(place)
end

def batched(model, id)
  BatchLoader::GraphQL.for(id).batch(key: model) { |ids, loader| model.where(id: ids).each { |one| loader.call(one.id, one) } }
end

class VenueType < GraphQL::Schema::Object
  field :name, String, null: true
  field :capacity, Integer, null: true
end

class ChoirType < GraphQL::Schema::Object
  field :name, String, null: true
end

class ConcertType < GraphQL::Schema::Object
  field :title, String, null: true
  field :venue, VenueType, null: true # resolved by the record's own method
  field :choir, ChoirType, null: true
end

class LoadedConcertType < GraphQL::Schema::Object
  field :title, String, null: true
  field :venue, VenueType, null: true
  field :choir, ChoirType, null: true

  def venue
    batched(Venue, object.venue_id)
  end

  def choir
    batched(Choir, object.choir_id)
  end
end

class QueryType < GraphQL::Schema::Object
  field :concerts, [ConcertType], null: false do
    argument :after, Integer, required: true
    argument :first, Integer, required: true
  end
  field :loaded, [LoadedConcertType], null: false do
    argument :after, Integer, required: true
    argument :first, Integer, required: true
  end

  def concerts(after:, first:)
    Concert.where("id > ?", after).order(:id).limit(first)
  end
  alias loaded concerts
end

class FederationSchema < GraphQL::Schema
  query QueryType
  use BatchLoader::GraphQL # not GraphQL::Dataloader: its fibers wait for ever for the lock of a transaction of Rails 6.1
end

def graphql(field, after, first)
  answer = FederationSchema.execute("{ #{field}(after: #{after}, first: #{first}) { title venue { name capacity } choir { name } } }")
  raise answer["errors"].inspect if answer["errors"]

  answer
end

# ---- pages
Page = Struct.new(:label, :why, :own, :public, :work)
PAGES = {} # rubocop:disable Style/MutableConstant

# What a request read row by row: the reads from each table while the block of +watch+ ran, as ActiveRecord reports them.
class Calls < Hash
  def initialize
    super(0)
  end

  def watch(*tables)
    Thread.current.thread_variable_set(:watched, [self, tables.map(&:to_s)])
    yield
  ensure
    Thread.current.thread_variable_set(:watched, nil)
  end
end

def page(route, label, why, own: false, public: false, &work)
  raise "#{route} twice" if PAGES.key?(route)

  PAGES[route] = Page.new(label, why, own, public, work)
end

# A job runs outside of the transaction of a request and opens its own.
def job(route, label, why, &work)
  page("JOB #{route}", label, why, own: true, public: true, &work)
end

def after(rng, model, count)
  model.where("id > ?", rng.rand(model::ROWS - count)).order(:id).limit(count)
end

{ Region => 12, Language => 14, Sponsor => 60, Tag => 40, Composer => 120, Person => 1200, Choir => 200, Venue => 90,
  Membership => 2400, Rehearsal => 1600, Attendance => 4800, Work => 700, Copy => 1500, Loan => 1500, Concert => 500,
  ProgrammeItem => 2500, TicketType => 1500, Order => 2400, Ticket => 4800, Contest => 30, Entry => 450, Mark => 3600,
  Fee => 600, Sponsorship => 500, Post => 500, Comment => 1200, Photo => 900, Audit => 1200, Notification => 1200,
  Grant => 2000, Job => 800, Tagging => 1800 }.each { |model, rows| model.const_set(:ROWS, rows) }

# pages with an N+1
page "choirs", "choirs>regions, choirs>people", "the template prints the region (delegated) and the conductor of each choir, two lazy belongs_to", public: true do |c, r, n|
  c.watch(:regions, :people) { render(:choirs, choirs: Choir.listed.offset(r.rand(120)).limit(n)) }
end
page "choirs/cards", "choirs>memberships, choirs>concerts", "two .count in the template for each choir, where a grouped count would do", public: true do |c, r, n|
  c.watch(:memberships, :concerts) { render(:cards, choirs: Choir.listed.offset(r.rand(120)).limit(n)) }
end
page "choir/members", "memberships>people", "the members of one choir; a helper of the view asks each for its person" do |c, r, _|
  choir = Choir.find(1 + r.rand(Choir::ROWS))
  c.watch(:people) { render(:members, choir: choir, members: choir.memberships.order(:voice, :id)) }
end
page "rehearsals.json", "rehearsals>choirs, choirs>regions, rehearsals>venues", "nested serializers: the choir, the choir's region and the venue of each rehearsal" do |c, r, n|
  rehearsals = after(r, Rehearsal, n)
  c.watch(:choirs, :regions, :venues) { rehearsals.map { |one| RehearsalSerializer.call(one) }.to_json }
end
page "concerts/programme", "concerts>programme_items, programme_items>works, works>composers", "a printed season: items of each concert, the work of each item, the composer of each work, all lazy" do |c, r, n|
  concerts = after(r, Concert, [n, 6].min)
  c.watch(:programme_items, :works, :composers) do
    concerts.map { |one| [one.title, one.programme_items.order(:position).map { |item| "#{item.work.composer.name}: #{item.work.title}" }] }
  end
end
page "works/catalogue", "works>tags", "tags through a polymorphic join table, loaded in the template for each work", public: true do |c, r, n|
  c.watch(:tags) { render(:catalogue, works: after(r, Work, n).includes(:composer)) }
end
page "works/tree", "works>works", "movements of movements: the tree below some works is walked down, a has_many on the same table" do |c, r, _|
  walk = ->(work) { [work.title, c.watch(:works) { work.movements.to_a }.map(&walk)] }
  Work.where(whole_id: nil).order(:id).offset(r.rand(20)).limit(3).map(&walk)
end
page "people/referrers", "people>people", "who brought each singer: a lazy belongs_to to the same table, where there is one" do |c, r, n|
  people = after(r, Person, n).to_a
  c.watch(:people) { people.map { |one| [one.name, one.referrer&.name] } }
end
page "loans/overdue", "loans>copies, loans>people", "a belongs_to by the barcode of the copy, and the person who has it" do |c, r, n|
  loans = Loan.where(returned_on: nil).order(:lent_on).offset(r.rand(300)).limit(n)
  c.watch(:copies, :people) { loans.map { |one| [one.copy.condition, one.person.email] } }
end
page "copies/last", "copies>loans", "the last loan of each copy: order and first on a has_many" do |c, r, n|
  copies = after(r, Copy, n).to_a
  c.watch(:loans) { copies.map { |one| one.loans.order(lent_on: :desc).first&.lent_on } }
end
page "contest/ranking", "entries>marks", "an average of the marks for each entry of a contest" do |c, r, _|
  contest = Contest.find(1 + r.rand(Contest::ROWS))
  entries = contest.entries.includes(:choir).to_a
  c.watch(:marks) { entries.sort_by { |one| one.marks.average(:points).to_f } }
end
page "contest/marks.csv", "marks>people", "entries and choirs are included; the juror of each mark was forgotten" do |c, r, n|
  marks = after(r, Mark, n).includes(entry: :choir)
  c.watch(:people) { marks.map { |one| [one.entry.choir.name, one.juror.name, one.points].join(";") } }
end
page "activity", "audits>choirs, audits>concerts, audits>posts", "a polymorphic belongs_to: the subject of each line lies in one of three tables" do |c, r, n|
  audits = Audit.where("id < ?", 60 + r.rand(1100)).order(id: :desc).limit(n)
  c.watch(:choirs, :concerts, :posts) { audits.map { |one| [one.action, one.subject.id] } }
end
page "post/thread", "comments>comments, comments>people", "the answers of each comment are asked for, down the tree, and who wrote each" do |c, r, _|
  post = Post.find(1 + r.rand(Post::ROWS / 10))
  top = post.comments.where(parent_id: nil).order(:id).to_a
  walk = lambda do |comment|
    author, answers = c.watch(:comments, :people) { [comment.author.name, comment.answers.to_a] }
    [author, comment.body, answers.map(&walk)]
  end
  top.map(&walk)
end
page "posts.atom", "posts>people, posts>comments", "a feed: the author and a count of the comments of each post", public: true do |c, r, n|
  c.watch(:people, :comments) { render(:feed, posts: Post.order(published_at: :desc).offset(r.rand(300)).limit(n)) }
end
page "fees/year", "choirs>fees", "what each choir paid in one year: find_by, the year the same for all" do |c, r, n|
  year = 2023 + r.rand(3)
  choirs = after(r, Choir, n).to_a
  c.watch(:fees) { choirs.sum { |one| one.fees.find_by(year: year)&.cents.to_i } }
end
page "fees/quote", "choirs>rates", "the rate by region and kind of each choir through a memo of the request: each miss is a query" do |c, r, n|
  memo = {}
  choirs = after(r, Choir, n).to_a
  c.watch(:rates) { choirs.map { |one| memo[[one.region_id, one.kind]] ||= Rate.find_by(region_id: one.region_id, kind: one.kind) } }
end
page "concerts/clashes", "concerts>rehearsals", "is the hall of a concert taken by a rehearsal: venue, start and end of each concert go into an exists?" do |c, r, n|
  concerts = after(r, Concert, n).to_a
  c.watch(:rehearsals) { concerts.select { |one| Rehearsal.where(venue_id: one.venue_id).during(one.starts_at, one.starts_at + 3.hours).exists? } }
end
page "export/orders.csv", "orders>people, orders>concerts", "find_each in batches of twenty; buyer and concert of each line are lazy" do |c, r, n|
  from = r.rand(Order::ROWS - 100)
  Order.where(id: from..(from + n + 20)).find_each(batch_size: 20) do |one|
    c.watch(:people, :concerts) { [one.id, one.person.email, one.concert.title].join(",") }
  end
end
page "export/tickets.json", "tickets>ticket_types, tickets>orders", "pages of fifteen by offset (kaminari); type and order of each ticket are lazy" do |c, r, n|
  scope = Ticket.where("id > ?", r.rand(Ticket::ROWS - 200)).order(:id)
  (1..[n / 15, 1].max).each do |number|
    tickets = scope.page(number).per(15).to_a
    c.watch(:ticket_types, :orders) { tickets.map { |one| { code: one.code, type: one.ticket_type.name, state: one.order&.state } } }
  end
end
page "people/rights", "people>grants", "may this person publish: an exists? for each row of the admin's list" do |c, r, n|
  right = RIGHTS.sample(random: r)
  people = after(r, Person, n).to_a
  c.watch(:grants) { people.select { |one| one.may?(right) } }
end
page "people/search", "people>people", "the search gives ids (pluck); each is then found by itself" do |c, r, n|
  ids = Person.where("name LIKE ?", "%#{1 + r.rand(9)}%").order(:id).limit(n).pluck(:id)
  c.watch(:people) { ids.map { |id| Person.find(id) } }
end
page "graphql/concerts", "concerts>venues, concerts>choirs", "GraphQL fields that call the record's own belongs_to, without a data loader", public: true do |c, r, n|
  c.watch(:venues, :choirs) { graphql("concerts", r.rand(Concert::ROWS - n), n) }
end
page "choirs/gallery", "choirs>photos", "the first photo of each choir, by type and id of its owner", public: true do |c, r, n|
  c.watch(:photos) { render(:gallery, choirs: after(r, Choir, n)) }
end
page "regions/revenue", "regions>orders", "a sum over joins for each region, in place of one GROUP BY" do |c, r, _|
  regions = Region.order(:name).to_a
  since = T0 + r.rand(200).days
  c.watch(:orders) { regions.map { |one| Order.joins(concert: :venue).where(venues: { region_id: one.id }, created_at: since..).sum(:cents) } }
end
page "concerts/next", "concerts>concerts", "the next concert of the same choir: choir and time of each row, an order and a limit of one" do |c, r, n|
  concerts = after(r, Concert, n).to_a
  c.watch(:concerts) { concerts.map { |one| one.following&.title } }
end
page "choirs/active", "choirs>memberships", "includes(:memberships) does not help: a where on the association asks again for each choir" do |c, r, n|
  choirs = after(r, Choir, [n, 20].min).includes(:memberships).to_a
  c.watch(:memberships) { choirs.map { |one| one.memberships.where(state: "open").to_a.size } }
end
page "choirs/mailing", "choirs>people", "pluck of the addresses of each choir's singers, has_many through" do |c, r, n|
  choirs = after(r, Choir, n).to_a
  c.watch(:people) { choirs.flat_map { |one| one.people.pluck(:email) } }
end
page "choirs/voices", "choirs>memberships", "a balance of voices: for each choir of a region a count for each of four voices" do |c, r, _|
  choirs = Region.find(1 + r.rand(12)).choirs.order(:name).limit(10).to_a
  c.watch(:memberships) { choirs.map { |one| VOICES.to_h { |voice| [voice, one.memberships.where(voice: voice).count] } } }
end
page "choirs/sponsors", "choirs>sponsors", "a fragment for each choir in a cache that forgets after five seconds: each miss loads the sponsors", public: true do |c, r, n|
  choirs = after(r, Choir, n).to_a
  c.watch(:sponsors) { choirs.each { |one| CACHE.fetch(["sponsors", one.id], expires_in: 5.seconds) { one.sponsors.map(&:name) } } }
end
page "POST memberships/promote", "memberships>people, memberships>choirs", "update! of each row validates that its belongs_to are there, and so loads them" do |c, r, n|
  c.watch(:people, :choirs) { after(r, Membership, [n, 20].min).each { |one| one.update!(state: STATES.sample(random: r)) } }
end
page "POST orders/cancel", "orders>tickets", "destroy of each order of a list; dependent: :destroy loads the tickets of each first" do |c, r, n|
  orders = after(r, Order, [n, 12].min).to_a
  c.watch(:tickets) { orders.each(&:destroy) }
end
page "POST notifications/read", "notifications>notifications", "each notification of a list is read again and locked (with_lock) before it is written" do |c, r, n|
  notifications = after(r, Notification, [n, 20].min).to_a
  c.watch(:notifications) { notifications.each { |one| one.with_lock { one.update_columns(read_at: T0) } } }
end
job "fees", "choirs>memberships", "a yearly job: the members of each choir are counted and its fee is inserted, a transaction for each choir" do |c, r, n|
  after(r, Choir, [n, 30].min).to_a.each do |one|
    Choir.transaction { one.fees.create!(year: 2027, cents: 1200 * c.watch(:memberships) { one.memberships.count }) }
  end
end
job "reminders", "notifications>people", "for each notification the person is loaded, a mail would go out, the row is marked; twelve rows in a transaction" do |c, r, n|
  notifications = after(r, Notification, [n, 30].min).to_a
  notifications.each_slice(12) do |part|
    Notification.transaction { part.each { |one| c.watch(:people) { one.person.email }; one.update_columns(state: "closed") } }
  end
end

# pages without
page "choirs/preloaded", "", "region and conductor by preload, a query with IN for each", public: true do |_, r, n|
  render(:choirs, choirs: Choir.listed.preload(:region, :conductor).offset(r.rand(120)).limit(n))
end
page "concerts/joined", "", "choir and venue by eager_load, one statement", public: true do |_, r, n|
  after = r.rand(Concert::ROWS - n)
  Concert.eager_load(:choir, :venue).where("concerts.id > ?", after).order(:starts_at).limit(n).map { |one| [one.choir.name, one.venue.name] }
end
page "concerts/season", "", "the programme of concerts/programme with includes, three levels by IN" do |_, r, n|
  after(r, Concert, n).includes(programme_items: { work: :composer }).map { |one| one.programme_items.sort_by(&:position).map { |item| item.work.composer.name } }
end
page "choirs/counted", "", "the counts of choirs/cards by GROUP BY over the ids of the list" do |_, r, n|
  ids = after(r, Choir, n).map(&:id)
  [Membership, Concert, Rehearsal].map { |model| model.where(choir_id: ids).group(:choir_id).count }
end
page "activity/preloaded", "", "the polymorphic subject by preload: a query with IN for each of three types" do |_, r, n|
  Audit.where("id < ?", 60 + r.rand(1100)).order(id: :desc).limit(n).preload(:subject).map { |one| one.subject.id }
end
page "dashboard", "", "many different figures and short lists, each once" do |_, r, _|
  [Person, Choir, Concert, Order, Rehearsal, Loan, Post, Fee].map(&:count)
  Order.order(created_at: :desc).limit(5).includes(:person).to_a
  Concert.where("starts_at > ?", T0 + r.rand(100).days).order(:starts_at).limit(5).to_a
  Order.where(state: "paid").group(:concert_id).sum(:cents)
end
page "orders/paged", "", "kaminari: one page, and the number of all" do |_, r, n|
  orders = Order.where(state: STATES.sample(random: r)).order(:id).includes(:person, :concert).page(1 + r.rand(4)).per(n)
  [orders.total_count, orders.map { |one| [one.person.name, one.concert.title] }]
end
page "export/attendances.csv", "", "find_each alone: batch after batch by the key, nothing for each row" do |_, r, _|
  from = r.rand(3000)
  Attendance.where(id: from..(from + 330)).find_each(batch_size: 40) { |one| [one.id, one.present].join(",") }
end
page "export/memberships.json", "", "in batches of thirty, choir and person of each batch by IN" do |_, r, _|
  from = r.rand(2000)
  Membership.where(id: from..(from + 200)).includes(:choir, :person).find_each(batch_size: 30) { |one| [one.choir.name, one.person.name] }
end
page "copies/by_barcode", "", "the barcodes of a list of loans, in slices of ten with IN" do |_, r, _|
  Loan.where("id > ?", r.rand(1300)).order(:id).limit(80).pluck(:copy_barcode).each_slice(10).flat_map { |part| Copy.where(barcode: part).to_a }
end
page "POST people/import", "", "lines of a file: find_or_create_by! with a uniqueness check; the addresses come from the file" do |_, r, n|
  [n, 30].min.times { |k| Person.find_or_create_by!(email: "new#{r.rand(10**9)}@example.org") { |one| one.name = "New #{k}" } }
end
page "POST rates/upsert", "", "upsert_all of the lines of a price list" do |_, r, _|
  Rate.upsert_all((1..12).to_a.product(KINDS).map { |region, kind| { region_id: region, kind: kind, year: 2026, cents: 1000 + r.rand(900) } })
end
page "POST works/regrade", "", "a list is read, each row is written, and nothing is read for it" do |_, r, n|
  after(r, Work, n).to_a.each { |one| one.update_columns(difficulty: 1 + r.rand(5)) }
end
page "POST attendance", "", "a form of many check boxes: an UPDATE for each id that the client sent" do |_, r, n|
  Array.new(n) { 1 + r.rand(Attendance::ROWS) }.uniq.sort.each { |id| Attendance.where(id: id).update_all(present: r.rand(2) == 1) }
end
page "import/status", "", "the state of one import is asked again and again until it is done" do |_, r, _|
  import = Job.find(1 + r.rand(Job::ROWS))
  8.times { import.reload; sleep 0.003 }
end
page "PATCH concert", "", "an optimistic lock is lost to somebody else and tried again: one row, read and written up to six times" do |_, r, _|
  id = 1 + r.rand(Concert::ROWS)
  tries = 0
  begin
    concert = Concert.find(id)
    Concert.where(id: id).update_all("lock_version = lock_version + 1") if (tries += 1) < 6
    concert.update!(title: "Concert #{id}.#{r.rand(99)}")
  rescue ActiveRecord::StaleObjectError
    retry
  end
end
job "worker", "", "a worker takes the next job (SKIP LOCKED), does it, commits, and takes the next" do |_, _, _|
  8.times do
    Job.transaction do
      one = Job.where(state: "open").order(:id).lock("FOR UPDATE SKIP LOCKED").first
      one&.update!(state: "done", attempts: one.attempts + 1)
    end
  end
end
job "outbox", "", "a worker takes a notification, loads its person and choir, and commits; nothing lists them" do |_, _, _|
  7.times do
    Notification.transaction do
      one = Notification.where(state: "held").order(:id).lock("FOR UPDATE SKIP LOCKED").first
      one&.update!(state: "closed", read_at: T0)
    end
  end
end
job "prune", "", "in_batches(of: 20).delete_all: ids of a batch, then its DELETE" do |_, r, _|
  from = r.rand(600)
  Comment.where(id: from..(from + 600), state: "void").in_batches(of: 20).delete_all
end
page "region/settings", "", "settings of one region by name, a constant list in the code" do |_, r, _|
  region = Region.find(1 + r.rand(12))
  %w[currency mail_from logo theme fee_due vat quota locale].map { |name| Setting.read(region.id, name) }
end
page "pilots", "", "the one setting of six pilot regions, a constant list in the code" do |_, _, _|
  PILOTS.map { |region| Setting.read(region, "theme") }
end
page "venues/week", "", "after a list of venues the rehearsals of each of seven days are counted, day after day" do |_, r, n|
  after(r, Venue, n).to_a
  day = T0 + r.rand(100).days
  7.times.map { |k| Rehearsal.where(starts_at: (day + k.days)...(day + (k + 1).days)).count }
end
page "works/complete", "", "what is typed, letter after letter", public: true do |_, r, _|
  word = "Work #{100 + r.rand(500)} in D"
  (4..word.size).each { |k| Work.where("title LIKE ?", "#{word[0...k]}%").order(:title).limit(6).pluck(:title) }
end
page "choirs/compare", "", "after a list of posts the choirs that the client chose" do |_, r, n|
  after(r, Post, n).to_a
  Array.new(6) { 1 + r.rand(Choir::ROWS) }.each { |id| Choir.find_by(id: id) }
end
page "choir", "", "one choir and what belongs to it: a page of details", public: true do |_, r, _|
  choir = Choir.find(1 + r.rand(Choir::ROWS))
  [choir.region, choir.conductor, choir.languages.to_a, choir.sponsors.to_a, choir.photos.to_a, choir.memberships.includes(:person).to_a,
   choir.concerts.order(:starts_at).limit(5).to_a, choir.fees.sum(:cents)]
end
page "orders/facets", "", "after a list of orders a count for each state, a constant list" do |_, r, n|
  after(r, Order, n).to_a
  STATES.map { |state| Order.where(state: state).count } + [Order.where(state: STATES, cents: 5000..).count]
end
page "me", "", "each layer of the code reads the same person again, outside of the query cache" do |_, r, _|
  id = 1 + r.rand(Person::ROWS)
  Person.uncached { 6.times { Person.find(id) } }
end
page "graphql/loaded", "", "the fields of graphql/concerts behind BatchLoader::GraphQL: a query with IN for each", public: true do |_, r, n|
  graphql("loaded", r.rand(Concert::ROWS - n), n)
end
page "loans/loader", "", "BatchLoader in a serializer: copies and people of all loans by IN" do |_, r, n|
  rows = after(r, Loan, n).map do |loan|
    person = BatchLoader.for(loan.person_id).batch { |ids, loader| Person.where(id: ids).each { |one| loader.call(one.id, one) } }
    copy = BatchLoader.for(loan.copy_barcode).batch { |codes, loader| Copy.where(barcode: codes).each { |one| loader.call(one.barcode, one) } }
    [person, copy]
  end
  rows.map { |person, copy| [person&.name, copy&.condition] }
end
page "POST choirs", "", "a free slug is looked for: name, name-2, name-3 ... until nothing has it" do |_, r, _|
  base = "choir-#{1 + r.rand(40)}"
  number = 1
  number += 1 while Choir.exists?(slug: number == 1 ? base : "#{base}-#{number}")
  Choir.insert_all!([{ region_id: 1, conductor_id: 1, name: base, slug: "#{base}-#{r.rand(10**9)}x", kind: "mixed", state: "open" }])
end
page "home", "", "the three newest posts, each with author and comments: fewer than five calls", public: true do |_, _, _|
  Post.order(published_at: :desc).limit(3).map { |one| [one.author.name, one.comments.limit(2).to_a] }
end
page "POST checkout", "", "the basket of the client: each ticket type is locked and its stock lowered, then the order with its tickets" do |_, r, _|
  wanted = Array.new(7) { 1 + r.rand(TicketType::ROWS) }.uniq.sort
  Order.transaction do
    wanted.each { |id| TicketType.lock.find(id).decrement(:stock).then { |one| TicketType.where(id: id).update_all(stock: one.stock) } }
    order = Order.create!(person: Person.find(1 + r.rand(Person::ROWS)), concert: Concert.find(1 + r.rand(Concert::ROWS)), cents: 100, state: "open", created_at: T0)
    Ticket.insert_all!(wanted.map { |id| { order_id: order.id, ticket_type_id: id, code: "N#{r.rand(10**9)}" } })
  end
end
page "POST tickets/scan", "", "after a list of concerts a gate's scanner sends codes: each ticket is found by its code and marked" do |_, r, _|
  Concert.where("starts_at > ?", T0 + r.rand(100).days).order(:starts_at).limit(8).to_a
  codes = Array.new(8) { "T#{1 + r.rand(Ticket::ROWS)}" }.uniq
  codes.sort_by { |code| code[1..].to_i }.each { |code| Ticket.find_by(code: code)&.update_columns(used_at: T0) }
end
page "works/translated", "", "texts of a page from a table, by a constant list of keys in the template, and a list with its composers included", public: true do |_, r, n|
  locale = LOCALES.sample(random: r)
  text = ->(key) { Translation.find_by(locale: locale, key: key)&.value }
  render(:works, t: text, works: after(r, Work, n).includes(:composer))
end
page "memberships/mine", "", "may the reader see the row: the reader's own grant is asked for in each row of the list, always the same, so that the query cache answers" do |_, r, n|
  me = Person.find(1 + r.rand(Person::ROWS))
  after(r, Membership, n).to_a.select { |_| me.may?("read") }
end

# ---- the database
def connect
  ActiveRecord::Base.legacy_connection_handling = false # Rails 6.1's default; else a write does not clear the query cache
  ActiveRecord::Base.establish_connection(
    adapter: "mysql2", host: "127.0.0.1", port: Integer(PORT), username: "root", database: "shop", encoding: "utf8mb4", pool: 4,
    checkout_timeout: 60
  )
end

# A comment with the request's id at the end of each statement, as Marginalia and Rails' query log tags write one.
module RequestComment
  def execute(sql, name = nil)
    tag = Thread.current.thread_variable_get(:tag)
    super(tag ? "#{sql} /*#{tag}*/" : sql, name)
  end
end

def fill
  connect
  ActiveRecord::Migration.verbose = false
  ActiveRecord::Schema.define do
    create_table(:regions, force: true) { |t| t.string :name }
    create_table(:languages, force: true) { |t| t.string :name }
    create_table(:sponsors, force: true) { |t| t.string :name }
    create_table(:tags, force: true) { |t| t.string :name, index: true }
    create_table(:composers, force: true) { |t| t.string :name }
    create_table(:people, force: true) { |t| t.string :name; t.string :email, index: true; t.references :referrer }
    create_table(:choirs, force: true) { |t| t.references :region; t.references :conductor; t.string :name; t.string :slug, index: true; t.string :kind; t.string :state; t.integer :founded }
    create_table(:choirs_languages, id: false, force: true) { |t| t.references :choir; t.references :language }
    create_table(:venues, force: true) { |t| t.references :region; t.string :name; t.integer :capacity }
    create_table(:memberships, force: true) { |t| t.references :choir; t.references :person; t.string :voice; t.string :state }
    create_table(:rehearsals, force: true) { |t| t.references :choir; t.references :venue; t.datetime :starts_at, index: true; t.datetime :ends_at }
    create_table(:attendances, force: true) { |t| t.references :rehearsal; t.references :membership; t.boolean :present }
    create_table(:works, force: true) { |t| t.references :composer; t.references :whole; t.string :title, index: true; t.integer :difficulty }
    create_table(:taggings, force: true) { |t| t.references :tag; t.references :taggable, polymorphic: true }
    create_table(:copies, force: true) { |t| t.references :work; t.string :barcode, index: { unique: true }; t.string :condition }
    create_table(:loans, force: true) { |t| t.string :copy_barcode, index: true; t.references :person; t.date :lent_on; t.date :returned_on }
    create_table(:concerts, force: true) { |t| t.references :venue; t.references :choir; t.string :title; t.datetime :starts_at, index: true; t.string :state; t.integer :lock_version, default: 0 }
    create_table(:programme_items, force: true) { |t| t.references :concert; t.references :work; t.integer :position }
    create_table(:ticket_types, force: true) { |t| t.references :concert; t.string :name; t.integer :cents; t.integer :stock }
    create_table(:orders, force: true) { |t| t.references :person; t.references :concert; t.integer :cents; t.string :state; t.datetime :created_at, index: true }
    create_table(:tickets, force: true) { |t| t.references :order; t.references :ticket_type; t.string :code, index: true; t.datetime :used_at }
    create_table(:contests, force: true) { |t| t.references :region; t.string :name; t.integer :year }
    create_table(:entries, force: true) { |t| t.references :contest; t.references :choir; t.string :state }
    create_table(:marks, force: true) { |t| t.references :entry; t.references :juror; t.string :criterion; t.integer :points }
    create_table(:fees, force: true) { |t| t.references :choir; t.integer :year; t.integer :cents }
    create_table(:rates, force: true) { |t| t.integer :region_id; t.string :kind; t.integer :year; t.integer :cents; t.index %i[region_id kind], unique: true }
    create_table(:sponsorships, force: true) { |t| t.references :choir; t.references :sponsor }
    create_table(:posts, force: true) { |t| t.references :author; t.references :choir; t.string :title; t.datetime :published_at }
    create_table(:comments, force: true) { |t| t.references :commentable, polymorphic: true; t.references :author; t.references :parent; t.string :body; t.string :state }
    create_table(:photos, force: true) { |t| t.references :owner, polymorphic: true; t.string :url }
    create_table(:audits, force: true) { |t| t.references :subject, polymorphic: true; t.string :action }
    create_table(:notifications, force: true) { |t| t.references :person; t.references :choir; t.string :state, index: true; t.datetime :read_at }
    create_table(:settings, force: true) { |t| t.integer :region_id; t.string :name; t.string :value; t.index %i[region_id name] }
    create_table(:translations, force: true) { |t| t.string :locale; t.string :key; t.string :value; t.index %i[locale key] }
    create_table(:grants, force: true) { |t| t.references :person; t.string :name }
    create_table(:sessions, force: true) { |t| t.string :token, index: true; t.references :person }
    create_table(:jobs, force: true) { |t| t.string :kind; t.string :state, index: true; t.integer :attempts, default: 0 }
  end
  r = Random.new(7)
  one = ->(model) { 1 + r.rand(model::ROWS) }
  state = -> { STATES.sample(random: r) }
  time = -> { T0 + r.rand(300 * 24).hours }
  name = ->(word) { ->(k) { { name: "#{word} #{k}" } } }
  rows = {
    Region => name["Region"], Language => name["Language"], Sponsor => name["Sponsor"], Tag => name["tag"], Composer => name["Composer"],
    Person => ->(k) { { name: "singer #{k}", email: "p#{k}@example.org", referrer_id: r.rand(4).zero? ? nil : one[Person] } },
    Choir => ->(k) { { region_id: one[Region], conductor_id: one[Person], name: "Choir #{r.rand(900)}", slug: k <= 40 ? "choir-#{k}" : "choir-#{1 + (k - 41) % 40}-#{2 + (k - 41) / 40}", kind: KINDS.sample(random: r), state: state[], founded: 1900 } },
    Venue => ->(k) { { region_id: one[Region], name: "Hall #{k}", capacity: r.rand(900) } },
    Membership => ->(_) { { choir_id: one[Choir], person_id: one[Person], voice: VOICES.sample(random: r), state: state[] } },
    Rehearsal => ->(_) { time[].then { |at| { choir_id: one[Choir], venue_id: one[Venue], starts_at: at, ends_at: at + 2.hours } } },
    Attendance => ->(_) { { rehearsal_id: one[Rehearsal], membership_id: one[Membership], present: r.rand(3).positive? } },
    Work => ->(k) { { composer_id: one[Composer], whole_id: k <= 40 ? nil : 1 + r.rand([k - 1, 200].min), title: "Work #{k} in D", difficulty: 1 + r.rand(5) } },
    Tagging => ->(_) { { tag_id: one[Tag], taggable_type: "Work", taggable_id: one[Work] } },
    Copy => ->(k) { { work_id: one[Work], barcode: "B#{10_000 + k}", condition: %w[good worn torn].sample(random: r) } },
    Loan => ->(_) { { copy_barcode: "B#{10_000 + one[Copy]}", person_id: one[Person], lent_on: time[].to_date, returned_on: r.rand(2).zero? ? nil : time[].to_date } },
    Concert => ->(k) { { venue_id: one[Venue], choir_id: one[Choir], title: "Concert #{k}", starts_at: time[], state: state[] } },
    ProgrammeItem => ->(k) { { concert_id: 1 + (k % Concert::ROWS), work_id: one[Work], position: k } },
    TicketType => ->(k) { { concert_id: 1 + (k % Concert::ROWS), name: "Block #{k % 7}", cents: r.rand(9000), stock: 500 } },
    Order => ->(_) { { person_id: one[Person], concert_id: one[Concert], cents: r.rand(9000), state: state[], created_at: time[] } },
    Ticket => ->(k) { { order_id: one[Order], ticket_type_id: one[TicketType], code: "T#{k}" } },
    Contest => ->(k) { { region_id: one[Region], name: "Contest #{k}", year: 2026 } },
    Entry => ->(k) { { contest_id: 1 + (k % Contest::ROWS), choir_id: one[Choir], state: state[] } },
    Mark => ->(k) { { entry_id: 1 + (k % Entry::ROWS), juror_id: 1 + r.rand(80), criterion: "tone", points: r.rand(25) } },
    Fee => ->(k) { { choir_id: 1 + (k % Choir::ROWS), year: 2023 + (k % 3), cents: r.rand(90_000) } },
    Sponsorship => ->(_) { { choir_id: one[Choir], sponsor_id: one[Sponsor] } },
    Post => ->(k) { { author_id: one[Person], choir_id: one[Choir], title: "Post #{k}", published_at: time[] } },
    Comment => ->(k) { { commentable_type: "Post", commentable_id: 1 + (k % 50), author_id: one[Person], parent_id: k <= 400 ? nil : k - 50 * (1 + r.rand(8)), body: "It's a comment; number #{k}", state: state[] } },
    Photo => ->(k) { { owner_type: "Choir", owner_id: one[Choir], url: "https://example.org/#{k}.jpg" } },
    Audit => ->(_) { [Choir, Concert, Post].sample(random: r).then { |model| { subject_type: model.name, subject_id: one[model], action: "update" } } },
    Notification => ->(_) { { person_id: one[Person], choir_id: one[Choir], state: state[] } },
    Grant => ->(_) { { person_id: one[Person], name: RIGHTS.sample(random: r) } },
    Job => ->(_) { { kind: "mail", state: state[] } }
  }
  rows.each { |model, row| (1..model::ROWS).each_slice(800) { |part| model.insert_all!(part.map(&row)) } }
  Rate.insert_all!((1..12).to_a.product(KINDS).map { |region, kind| { region_id: region, kind: kind, year: 2026, cents: 1000 } })
  Setting.insert_all!((1..12).to_a.product(%w[currency mail_from logo theme fee_due vat quota locale]).map { |region, key| { region_id: region, name: key, value: "v" } })
  Translation.insert_all!(LOCALES.product(%w[title intro composer catalogue difficulty copies]).map { |locale, key| { locale: locale, key: "works.#{key}", value: key } })
  Session.insert_all!((1..99).map { |k| { token: "t#{k}", person_id: k } })
  pairs = (1..Choir::ROWS).flat_map { |choir| (1..14).to_a.sample(2, random: r).map { |language| "(#{choir}, #{language})" } }
  ActiveRecord::Base.connection.execute("INSERT INTO choirs_languages (choir_id, language_id) VALUES #{pairs.join(', ')}")
end

# ---- requests
def sign_in(rng)
  Session.find_by!(token: "t#{1 + rng.rand(99)}").person
end

def answer(page, rng, mode)
  calls = Calls.new
  size = SIZES.sample(random: rng)
  work = lambda do
    sign_in(rng) unless page.public
    page.work.call(calls, rng, size)
  end
  ActiveRecord::Base.cache do # as Rails wraps each request and each job
    mode == "transaction" && !page.own ? ActiveRecord::Base.transaction(&work) : work.call
  end
  BatchLoader::Executor.clear_current
  calls
ensure
  ActiveRecord::Base.clear_active_connections!
end

def serve
  count, seed, mode, file = REST
  connect
  ActiveRecord::ConnectionAdapters::Mysql2Adapter.prepend(RequestComment)
  MODELS.each { |model| [model.columns, model.primary_key] } # as with a schema cache in production
  ActiveRecord::Base.clear_active_connections!
  ActiveSupport::Notifications.subscribe("sql.active_record") do |_, _, _, _, event|
    calls, tables = Thread.current.thread_variable_get(:watched)
    next if calls.nil? || event[:cached] || !event[:sql].start_with?("SELECT")

    table = event[:sql][/ FROM `?(\w+)`?/, 1]
    calls[table] += 1 if tables.include?(table)
  end
  draw = Random.new(Integer(seed))
  routes = PAGES.keys.cycle.first(Integer(count)).shuffle(random: draw)
  queue = Queue.new
  routes.each_with_index { |route, number| queue << [route, number] }
  queue.close
  truth = Queue.new
  threads = Array.new(6) do
    Thread.new do
      while (route, number = queue.pop)
        page = PAGES.fetch(route)
        rng = Random.new(911 * Integer(seed) + number)
        id = "#{seed}-#{number}"
        Thread.current.thread_variable_set(:tag, "request_id='#{id}',route='#{route}'")
        start = Time.now.to_f
        calls = answer(page, rng, mode)
        Thread.current.thread_variable_set(:tag, nil)
        unlabelled = calls.keys - page.label.split(", ").map { |one| one.split(">")[1] }
        raise "#{route} does not do what its label says: #{unlabelled}" if unlabelled.any?

        found = calls.select { |_, times| times >= LEAST }.keys.sort
        truth << { route: route, start: start.round(6), end: Time.now.to_f.round(6), session: "", unit: nil, request: id, n_plus_one: found }
        sleep(0.001 + 0.005 * rng.rand)
      end
    end
  end
  threads.each { |thread| thread.report_on_exception = true; thread.abort_on_exception = true }
  threads.each(&:join)
  File.write(file, Array.new(truth.size) { "#{truth.pop.to_json}\n" }.join)
end

def labels
  puts %w[page parent>child\ of\ each\ N+1 why].join("\t")
  PAGES.each { |route, page| puts [route, page.label.presence || "none", page.why].join("\t") }
end

{ "fill" => method(:fill), "serve" => method(:serve), "labels" => method(:labels) }.fetch(VERB).call
