<?php
// Corpus "seedbank": the entities, as Doctrine's attributes describe them.
declare(strict_types=1);

use Doctrine\Common\Collections\Collection;
use Doctrine\ORM\Mapping as ORM;

trait Key
{
    #[ORM\Id, ORM\GeneratedValue, ORM\Column]
    public ?int $id = null;
}

#[ORM\Entity]
class Taxon
{
    use Key;
    #[ORM\Column] public string $name;
    #[ORM\ManyToOne(inversedBy: 'children')] public ?Taxon $parent = null;
    #[ORM\OneToMany(targetEntity: Taxon::class, mappedBy: 'parent')] public Collection $children;
}

#[ORM\Entity]
class Country
{
    #[ORM\Id, ORM\Column(length: 2)] public string $code;
    #[ORM\Column] public string $name;
}

#[ORM\Entity]
class Species
{
    use Key;
    #[ORM\Column] public string $name;
    #[ORM\Column(length: 12)] public string $status;
    #[ORM\ManyToOne] public Taxon $taxon;
    #[ORM\OneToMany(targetEntity: CommonName::class, mappedBy: 'species')] public Collection $commonNames;
    #[ORM\OneToMany(targetEntity: Accession::class, mappedBy: 'species', fetch: 'EXTRA_LAZY')] public Collection $accessions;
}

#[ORM\Entity, ORM\Table(name: 'common_name')]
class CommonName
{
    use Key;
    #[ORM\ManyToOne(inversedBy: 'commonNames')] public Species $species;
    #[ORM\Column(length: 8)] public string $language;
    #[ORM\Column] public string $name;
}

#[ORM\Entity]
class Site
{
    use Key;
    #[ORM\Column] public string $name;
    #[ORM\Column] public int $altitude;
    #[ORM\ManyToOne, ORM\JoinColumn(name: 'country_code', referencedColumnName: 'code')] public Country $country;
}

#[ORM\Entity, ORM\Table(name: 'closure')]
class Closing
{
    use Key;
    #[ORM\ManyToOne] public Site $site;
    #[ORM\Column] public DateTimeImmutable $starts;
    #[ORM\Column] public DateTimeImmutable $ends;
}

#[ORM\Entity]
class Institute
{
    use Key;
    #[ORM\Column(length: 12, unique: true)] public string $code;
    #[ORM\Column] public string $name;
}

#[ORM\Entity]
class Collector
{
    use Key;
    #[ORM\Column] public string $name;
    #[ORM\Column(unique: true)] public string $email;
    #[ORM\Column(length: 12)] public string $instituteCode;
}

#[ORM\Entity(repositoryClass: ExpeditionRepository::class)]
class Expedition
{
    use Key;
    #[ORM\Column] public string $name;
    #[ORM\ManyToOne] public Site $site;
    #[ORM\Column] public DateTimeImmutable $starts;
    #[ORM\Column] public DateTimeImmutable $ends;
    #[ORM\ManyToMany(targetEntity: Collector::class, fetch: 'EXTRA_LAZY')] public Collection $members;
}

#[ORM\Entity]
class Donor
{
    use Key;
    #[ORM\Column] public string $name;
    #[ORM\OneToOne(mappedBy: 'donor')] public ?Agreement $agreement = null;
}

#[ORM\Entity]
class Agreement
{
    use Key;
    #[ORM\OneToOne(inversedBy: 'agreement')] public Donor $donor;
    #[ORM\Column] public DateTimeImmutable $signed;
}

#[ORM\Entity]
class Keyword
{
    use Key;
    #[ORM\Column] public string $word;
}

#[ORM\Entity(repositoryClass: AccessionRepository::class)]
class Accession
{
    use Key;
    #[ORM\Column(length: 24, unique: true)] public string $number;
    #[ORM\ManyToOne(inversedBy: 'accessions')] public Species $species;
    #[ORM\ManyToOne] public Site $site;
    #[ORM\ManyToOne] public Collector $collector;
    #[ORM\ManyToOne] public ?Expedition $expedition = null;
    #[ORM\Column] public DateTimeImmutable $received;
    #[ORM\Column(length: 12)] public string $state;
    #[ORM\Column] public int $seeds;
    #[ORM\OneToMany(targetEntity: Lot::class, mappedBy: 'accession')] public Collection $lots;
    #[ORM\ManyToMany(targetEntity: Keyword::class)] public Collection $keywords;
}

#[ORM\Entity]
class Vault
{
    use Key;
    #[ORM\Column] public string $name;
    #[ORM\Column(type: 'integer'), ORM\Version] public int $version = 1;
}

#[ORM\Entity]
class Shelf
{
    use Key;
    #[ORM\ManyToOne] public Vault $vault;
    #[ORM\Column(length: 12)] public string $code;
    #[ORM\OneToMany(targetEntity: Temperature::class, mappedBy: 'shelf', fetch: 'EXTRA_LAZY'), ORM\OrderBy(['taken' => 'DESC'])]
    public Collection $temperatures;
}

#[ORM\Entity]
class Temperature
{
    use Key;
    #[ORM\ManyToOne(inversedBy: 'temperatures')] public Shelf $shelf;
    #[ORM\Column] public DateTimeImmutable $taken;
    #[ORM\Column] public int $degrees;
}

#[ORM\Entity(repositoryClass: LotRepository::class)]
class Lot
{
    use Key;
    #[ORM\Column(length: 16, unique: true)] public string $barcode;
    #[ORM\ManyToOne(inversedBy: 'lots')] public Accession $accession;
    #[ORM\ManyToOne] public Shelf $shelf;
    #[ORM\Column] public int $seeds;
    #[ORM\Column] public DateTimeImmutable $packed;
}

#[ORM\Entity]
class Staff
{
    use Key;
    #[ORM\Column] public string $name;
    #[ORM\Column(length: 12)] public string $role;
}

#[ORM\Entity]
class Duty
{
    use Key;
    #[ORM\ManyToOne] public Staff $staff;
    #[ORM\Column(length: 12)] public string $bench;
    #[ORM\Column] public DateTimeImmutable $starts;
    #[ORM\Column] public DateTimeImmutable $ends;
}

#[ORM\Entity(repositoryClass: GerminationRepository::class)]
class Germination
{
    use Key;
    #[ORM\ManyToOne] public Lot $lot;
    #[ORM\ManyToOne] public Staff $technician;
    #[ORM\Column] public DateTimeImmutable $sown;
    #[ORM\Column] public int $seeds;
    #[ORM\Column] public int $sprouted;
    #[ORM\OneToMany(targetEntity: Reading::class, mappedBy: 'germination')] public Collection $readings;
}

#[ORM\Entity]
class Reading
{
    use Key;
    #[ORM\ManyToOne(inversedBy: 'readings')] public Germination $germination;
    #[ORM\Column] public int $day;
    #[ORM\Column] public int $sprouted;
}

#[ORM\Entity]
class Requester
{
    use Key;
    #[ORM\Column] public string $name;
    #[ORM\Column] public string $email;
    #[ORM\ManyToOne] public Institute $institute;
}

#[ORM\Entity(repositoryClass: SeedRequestRepository::class), ORM\Table(name: 'seed_request')]
class SeedRequest
{
    use Key;
    #[ORM\ManyToOne] public Requester $requester;
    #[ORM\Column(length: 12)] public string $state;
    #[ORM\Column] public DateTimeImmutable $made;
    #[ORM\OneToMany(targetEntity: RequestItem::class, mappedBy: 'seedRequest')] public Collection $items;
}

#[ORM\Entity, ORM\Table(name: 'request_item')]
class RequestItem
{
    use Key;
    #[ORM\ManyToOne(inversedBy: 'items')] public SeedRequest $seedRequest;
    #[ORM\ManyToOne] public Accession $accession;
    #[ORM\Column] public int $seeds;
}

#[ORM\Entity]
class Shipment
{
    use Key;
    #[ORM\ManyToOne] public SeedRequest $seedRequest;
    #[ORM\Column(length: 2)] public string $countryCode;
    #[ORM\Column] public int $taxonId;
    #[ORM\Column] public DateTimeImmutable $sent;
}

#[ORM\Entity, ORM\Table(name: 'import_rule')]
class ImportRule
{
    #[ORM\Id, ORM\Column(length: 2)] public string $countryCode;
    #[ORM\Id, ORM\Column] public int $taxonId;
    #[ORM\Column] public string $papers;
}

#[ORM\Entity, ORM\InheritanceType('SINGLE_TABLE'), ORM\DiscriminatorColumn(name: 'kind', length: 12)]
#[ORM\DiscriminatorMap(['sensor' => Sensor::class, 'door' => DoorSensor::class, 'cold' => ColdSensor::class])]
class Sensor
{
    use Key;
    #[ORM\Column] public string $name;
}

#[ORM\Entity]
class DoorSensor extends Sensor
{
    #[ORM\Column(nullable: true)] public ?int $openings = null;
}

#[ORM\Entity]
class ColdSensor extends Sensor
{
    #[ORM\Column(nullable: true)] public ?int $coldest = null;
}

#[ORM\Entity]
class Alarm
{
    use Key;
    #[ORM\ManyToOne] public Sensor $sensor;
    #[ORM\Column] public DateTimeImmutable $raised;
    #[ORM\Column] public int $level;
}

#[ORM\Entity]
class History
{
    use Key;
    #[ORM\Column(length: 12)] public string $subjectKind;
    #[ORM\Column] public int $subjectId;
    #[ORM\Column] public string $action;
    #[ORM\Column] public DateTimeImmutable $made;
}

#[ORM\Entity]
class Notice
{
    use Key;
    #[ORM\ManyToOne] public SeedRequest $seedRequest;
    #[ORM\Column] public int $queue;
    #[ORM\Column(length: 12)] public string $state;
}

#[ORM\Entity]
class Setting
{
    use Key;
    #[ORM\ManyToOne] public Vault $vault;
    #[ORM\Column(length: 24)] public string $name;
    #[ORM\Column] public string $value;
}
