//! A client and a server on renetcode, for our tests to talk to: the same
//! arguments and lines as in reference.c.
//!
//!   renetcode-peer server ADDRESS SLOTS PROTOCOL KEY
//!   renetcode-peer client TOKENFILE SECONDS

use renetcode::*;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn make(n: u64) -> Vec<u8> {
    let size = 9 + (n.wrapping_mul(37) % 1192) as usize;
    let mut out = n.to_le_bytes().to_vec();
    out.extend((8..size).map(|i| n.wrapping_add(i as u64) as u8));
    out
}

fn good(b: &[u8]) -> bool {
    b.len() >= 9 && make(u64::from_le_bytes(b[..8].try_into().unwrap())) == b
}

fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// Lines of stdin; closed at its end.
fn input() -> mpsc::Receiver<u8> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for b in std::io::stdin().bytes() {
            if tell.send(b.unwrap()).is_err() {
                return;
            }
        }
    });
    told
}

fn act(result: ServerResult, socket: &UdpSocket, echoes: &mut Vec<(u64, Vec<u8>)>) {
    match result {
        ServerResult::None => {}
        ServerResult::PacketToSend { addr, payload } => drop(socket.send_to(payload, addr)),
        ServerResult::Payload { client_id, payload } => echoes.push((client_id, payload.to_vec())),
        ServerResult::ClientConnected { client_id, addr, user_data, payload } => {
            let text = String::from_utf8_lossy(&*user_data);
            println!("connected {client_id} {}", text.trim_end_matches('\0'));
            let _ = socket.send_to(payload, addr);
        }
        ServerResult::ClientDisconnected { client_id, addr, payload } => {
            println!("disconnected {client_id}");
            if let Some(payload) = payload {
                let _ = socket.send_to(payload, addr);
            }
        }
    }
}

fn serve(arg: &[String]) {
    let address: SocketAddr = arg[0].parse().unwrap();
    let mut private_key = [0; NETCODE_KEY_BYTES];
    for (i, b) in private_key.iter_mut().enumerate() {
        *b = u8::from_str_radix(&arg[3][2 * i..2 * i + 2], 16).unwrap();
    }
    let mut server = NetcodeServer::new(ServerConfig {
        current_time: unix(),
        max_clients: arg[1].parse().unwrap(),
        protocol_id: u64::from_str_radix(&arg[2], 16).unwrap(),
        public_addresses: vec![address],
        authentication: ServerAuthentication::Secure { private_key },
    });
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    println!("listening");
    let (orders, mut buffer, mut last) = (input(), [0; NETCODE_MAX_PACKET_BYTES], Instant::now());
    loop {
        let mut echoes = vec![];
        if let Ok((n, from)) = socket.recv_from(&mut buffer) {
            act(server.process_packet(from, &mut buffer[..n]), &socket, &mut echoes);
        }
        for (id, payload) in echoes {
            if let Ok((to, packet)) = server.generate_payload_packet(id, &payload) {
                let _ = socket.send_to(packet, to);
            }
        }
        let now = Instant::now();
        if now - last >= Duration::from_millis(20) {
            server.update(now - last);
            last = now;
            for id in server.clients_id() {
                act(server.update_client(id), &socket, &mut vec![]);
            }
        }
        match orders.try_recv() {
            Ok(b'd') => {
                for id in server.clients_id() {
                    act(server.disconnect(id), &socket, &mut vec![]);
                }
            }
            Err(mpsc::TryRecvError::Disconnected) => return,
            _ => {}
        }
    }
}

/// A standard connect token, which renetcode keeps in another form; IPv4 only.
fn token(b: &[u8]) -> ConnectToken {
    let u64_at = |i: usize| u64::from_le_bytes(b[i..i + 8].try_into().unwrap());
    let mut server_addresses = [None; 32];
    let mut i = 13 + 3 * 8 + 24 + 1024;
    let timeout_seconds = i32::from_le_bytes(b[i..i + 4].try_into().unwrap());
    let count = u32::from_le_bytes(b[i + 4..i + 8].try_into().unwrap()) as usize;
    i += 8;
    for slot in server_addresses.iter_mut().take(count) {
        assert_eq!(b[i], 1, "not an IPv4 address");
        let ip = Ipv4Addr::new(b[i + 1], b[i + 2], b[i + 3], b[i + 4]);
        *slot = Some(SocketAddr::new(ip.into(), u16::from_le_bytes([b[i + 5], b[i + 6]])));
        i += 7;
    }
    ConnectToken {
        client_id: 0, // not in what clients can read
        version_info: b[..13].try_into().unwrap(),
        protocol_id: u64_at(13),
        create_timestamp: u64_at(21),
        expire_timestamp: u64_at(29),
        xnonce: b[37..61].try_into().unwrap(),
        server_addresses,
        client_to_server_key: b[i..i + 32].try_into().unwrap(),
        server_to_client_key: b[i + 32..i + 64].try_into().unwrap(),
        private_data: b[61..61 + 1024].try_into().unwrap(),
        timeout_seconds,
    }
}

fn state(client: &NetcodeClient) -> i32 {
    match client.disconnect_reason() {
        Some(DisconnectReason::ConnectTokenExpired) => -6,
        Some(DisconnectReason::ConnectionTimedOut) => -4,
        Some(DisconnectReason::ConnectionResponseTimedOut) => -3,
        Some(DisconnectReason::ConnectionRequestTimedOut) => -2,
        Some(DisconnectReason::ConnectionDenied) => -1,
        Some(_) => 0,
        None if client.is_connected() => 3,
        None => 1,
    }
}

fn play(arg: &[String]) {
    let connect_token = token(&std::fs::read(&arg[0]).unwrap());
    let seconds: f64 = arg[1].parse().unwrap();
    let mut client = NetcodeClient::new(unix(), ClientAuthentication::Secure { connect_token }).unwrap();
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let (mut sent, mut received, mut bad) = (0u64, 0, 0);
    let (mut begun, mut last, mut next) = (None, Instant::now(), Instant::now());
    let (mut buffer, mut before) = ([0; NETCODE_MAX_PACKET_BYTES], 1);
    while !client.is_disconnected() {
        if let Ok((n, _)) = socket.recv_from(&mut buffer) {
            if let Some(payload) = client.process_packet(&mut buffer[..n]) {
                received += 1;
                bad += !good(payload) as u64;
            }
        }
        let now = Instant::now();
        if now - last >= Duration::from_millis(20) {
            if let Some((packet, to)) = client.update(now - last) {
                let _ = socket.send_to(packet, to);
            }
            last = now;
        }
        if client.is_connected() {
            if begun.is_none() {
                (begun, next) = (Some(now), now);
            }
            if (now - begun.unwrap()).as_secs_f64() >= seconds {
                let (to, packet) = client.disconnect().unwrap();
                for _ in 0..10 {
                    let _ = socket.send_to(packet, to);
                }
            } else if now >= next {
                let (to, packet) = client.generate_payload_packet(&make(sent)).unwrap();
                let _ = socket.send_to(packet, to);
                sent += 1;
                next += Duration::from_secs(1) / 30;
            }
        }
        if state(&client) != before {
            before = state(&client);
            println!("state {before}");
        }
    }
    println!("sent {sent} received {received} bad {bad}");
}

fn main() {
    let arg: Vec<String> = std::env::args().collect();
    match (arg.get(1).map(String::as_str), arg.len()) {
        (Some("server"), 6) => serve(&arg[2..]),
        (Some("client"), 4) => play(&arg[2..]),
        _ => panic!("see the beginning of the source"),
    }
}
