/*
 * A server and the clients of a load on ENet, which throng bench wire compares
 * with ours. ENet does not encrypt.
 *
 *   enet server PLAYERS RATE DOWN              answers "mark" on stdin with what it spent
 *   enet clients PORT PLAYERS RATE UP SECONDS  prints what it sent and got
 */
#include <enet/enet.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void mark(long in, long out) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
    printf("{\"cpu_s\": %.6f, \"in\": %ld, \"out\": %ld}\n", cpu, in, out);
    fflush(stdout);
}

static int serve(char **arg) {
    int players = atoi(arg[0]);
    double rate = atof(arg[1]);
    size_t down = (size_t)atoi(arg[2]);
    ENetAddress at = {.host = htonl(0x7f000001), .port = 0};
    ENetHost *host = enet_host_create(&at, (size_t)players, 1, 0, 0);
    if (!host || enet_socket_get_address(host->socket, &at) < 0)
        return 1;
    printf("{\"port\": %d}\n", at.port);
    fflush(stdout);
    char *snapshot = calloc(1, down);
    long in = 0, out = 0;
    for (double next = now() + 1 / rate;;) {
        ENetEvent e;
        double left = next - now();
        if (enet_host_service(host, &e, left > 0 ? (enet_uint32)(left * 1000) : 0) > 0) {
            do {
                if (e.type == ENET_EVENT_TYPE_RECEIVE) {
                    in++;
                    enet_packet_destroy(e.packet);
                }
            } while (enet_host_check_events(host, &e) > 0);
        }
        if (now() >= next) {
            next += 1 / rate;
            for (size_t i = 0; i < host->peerCount; i++) {
                if (host->peers[i].state != ENET_PEER_STATE_CONNECTED)
                    continue;
                enet_peer_send(&host->peers[i], 0, enet_packet_create(snapshot, down, 0));
                out++;
            }
            enet_host_flush(host);
            struct pollfd stdin_ = {.fd = 0, .events = POLLIN};
            if (poll(&stdin_, 1, 0) > 0) {
                char line[64];
                if (read(0, line, sizeof line) < 1)
                    return 0;
                mark(in, out);
            }
        }
    }
}

static int play(char **arg) {
    ENetAddress at = {.host = htonl(0x7f000001), .port = (enet_uint16)atoi(arg[0])};
    int players = atoi(arg[1]), connected = 0;
    double rate = atof(arg[2]), end = 0;
    size_t up = (size_t)atoi(arg[3]);
    ENetHost **hosts = calloc((size_t)players, sizeof *hosts);
    ENetPeer **peers = calloc((size_t)players, sizeof *peers);
    double *next = calloc((size_t)players, sizeof *next);
    char *input = calloc(1, up);
    for (int i = 0; i < players; i++) {
        hosts[i] = enet_host_create(NULL, 1, 1, 0, 0);
        if (!hosts[i] || !(peers[i] = enet_host_connect(hosts[i], &at, 1, 0)))
            return 1;
        next[i] = now() + (double)i / players / rate;
    }
    long sent = 0, got = 0;
    for (end = now() + atof(arg[4]); now() < end;) {
        for (int i = 0; i < players; i++) {
            ENetEvent e;
            while (enet_host_service(hosts[i], &e, 0) > 0) {
                connected += e.type == ENET_EVENT_TYPE_CONNECT;
                if (e.type == ENET_EVENT_TYPE_RECEIVE) {
                    got++;
                    enet_packet_destroy(e.packet);
                }
            }
            if (peers[i]->state == ENET_PEER_STATE_CONNECTED && now() >= next[i]) {
                next[i] += 1 / rate;
                enet_peer_send(peers[i], 0, enet_packet_create(input, up, 0));
                enet_host_flush(hosts[i]);
                sent++;
            }
        }
        usleep(500);
    }
    printf("{\"connected\": %d, \"sent\": %ld, \"got\": %ld}\n", connected, sent, got);
    return 0;
}

int main(int argc, char **argv) {
    if (enet_initialize() < 0)
        return 1;
    if (argc == 5 && !strcmp(argv[1], "server"))
        return serve(argv + 2);
    if (argc == 7 && !strcmp(argv[1], "clients"))
        return play(argv + 2);
    fprintf(stderr, "see the beginning of the source\n");
    return 2;
}
