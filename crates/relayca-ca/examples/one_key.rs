//! t
fn main() {
    let t = std::time::Instant::now();
    let k = relayca_ca::PrivateKey::generate(relayca_ca::KeyType::P256).unwrap();
    let a = t.elapsed();
    let k2 = relayca_ca::PrivateKey::generate(relayca_ca::KeyType::P256).unwrap();
    let b = t.elapsed();
    println!("first {a:?} then {:?} {}", b - a, k.spki_der().len() + k2.spki_der().len());
    let now = time::OffsetDateTime::now_utc();
    let ca = relayca_ca::Authority::create(&relayca_ca::NewAuthority { domain: relayca_ca::Domain::parse("example.org").unwrap(), permits: vec![], key_type: Default::default(), days: 3650 }, now).unwrap();
    let req = relayca_ca::LeafRequest { role: relayca_ca::Role::MailHost, host: relayca_ca::HostName::parse("mailhost.example.org").unwrap(), alt_names: vec![], days: 730 };
    let t = std::time::Instant::now();
    let n = 2000;
    for _ in 0..n { ca.issue(&req, k.spki_der(), now).unwrap(); }
    println!("issue {:?}", t.elapsed() / n);
    let t = std::time::Instant::now();
    for _ in 0..n { relayca_ca::PrivateKey::generate(relayca_ca::KeyType::P256).unwrap(); }
    println!("keygen {:?}", t.elapsed() / n);
    let t = std::time::Instant::now();
    let e = ca.key().encrypt(&"a".repeat(64)).unwrap();
    println!("encrypt {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let d = relayca_ca::PrivateKey::decrypt(&e, &"a".repeat(64)).unwrap();
    println!("decrypt {:?}", t.elapsed());
    let t = std::time::Instant::now();
    relayca_ca::Authority::load(ca.certificate().clone(), d, now).unwrap();
    println!("load {:?}", t.elapsed());
}
