/*
 * A client and a server on the C reference implementation of netcode, for our
 * tests to talk to. Ours; scripts/interop.sh builds it with the reference.
 *
 *   reference server ADDRESS SLOTS PROTOCOL KEY   echoes; "drop" on stdin ends all connections, end of file the server
 *   reference client TOKENFILE SECONDS            sends 30 payloads a second, checks echoes, leaves
 *
 * Each prints a line for what happens. Payload n is n in 8 bytes and a pattern;
 * its size is 9 + 37 n modulo 1192, so 9 to 1200 bytes.
 */
#include "netcode.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEP (1.0 / 30)

static int make(uint64_t n, uint8_t *out) {
    int size = 9 + (int)(n * 37 % 1192);
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(n >> (8 * i));
    for (int i = 8; i < size; i++)
        out[i] = (uint8_t)(n + i);
    return size;
}

static int good(const uint8_t *b, int size) {
    uint8_t want[NETCODE_MAX_PACKET_SIZE];
    uint64_t n = 0;
    if (size < 9)
        return 0;
    for (int i = 0; i < 8; i++)
        n |= (uint64_t)b[i] << (8 * i);
    return make(n, want) == size && memcmp(b, want, size) == 0;
}

/* input is 'd' for drop, 'e' for the end, 0 for nothing. */
static char input(void) {
    struct pollfd in = {.fd = 0, .events = POLLIN};
    char line[64];
    if (poll(&in, 1, 0) < 1)
        return 0;
    ssize_t n = read(0, line, sizeof line);
    return n < 1 ? 'e' : line[0];
}

static struct netcode_server_t *server;
static uint64_t ids[NETCODE_MAX_CLIENTS];

static void changed(void *context, int slot, int connected) {
    (void)context;
    if (connected) {
        ids[slot] = netcode_server_client_id(server, slot);
        uint8_t *data = netcode_server_client_user_data(server, slot);
        printf("connected %" PRIu64 " %.*s\n", ids[slot], NETCODE_USER_DATA_BYTES, (char *)data);
    } else {
        printf("disconnected %" PRIu64 " %d\n", ids[slot], netcode_server_client_disconnect_reason(server, slot));
    }
}

static int serve(char **arg) {
    struct netcode_server_config_t config;
    netcode_default_server_config(&config);
    config.protocol_id = strtoull(arg[2], NULL, 16);
    config.connect_disconnect_callback = changed;
    for (int i = 0; i < NETCODE_KEY_BYTES; i++)
        sscanf(arg[3] + 2 * i, "%2hhx", &config.private_key[i]);
    server = netcode_server_create(arg[0], &config, netcode_time());
    if (!server)
        return 1;
    netcode_server_start(server, atoi(arg[1]));
    printf("listening\n");
    for (;;) {
        netcode_server_update(server, netcode_time());
        for (int slot = 0; slot < netcode_server_max_clients(server); slot++) {
            int size;
            uint64_t number;
            uint8_t *b;
            while ((b = netcode_server_receive_packet(server, slot, &size, &number))) {
                netcode_server_send_packet(server, slot, b, size);
                netcode_server_free_packet(server, b);
            }
        }
        switch (input()) {
        case 'd':
            netcode_server_disconnect_all_clients(server);
            break;
        case 'e':
            netcode_server_destroy(server);
            return 0;
        }
        netcode_sleep(0.002);
    }
}

static void state(void *context, int before, int now) {
    (void)context, (void)before;
    printf("state %d\n", now);
}

static int play(char **arg) {
    uint8_t token[NETCODE_CONNECT_TOKEN_BYTES], out[NETCODE_MAX_PACKET_SIZE];
    FILE *f = fopen(arg[0], "rb");
    if (!f || fread(token, 1, sizeof token, f) != sizeof token)
        return 1;
    struct netcode_client_config_t config;
    netcode_default_client_config(&config);
    config.state_change_callback = state;
    struct netcode_client_t *client = netcode_client_create("0.0.0.0", &config, netcode_time());
    if (!client)
        return 1;
    netcode_client_connect(client, token);
    uint64_t sent = 0, received = 0, bad = 0;
    double begun = 0, next = 0;
    while (netcode_client_state(client) > NETCODE_CLIENT_STATE_DISCONNECTED) {
        double now = netcode_time();
        netcode_client_update(client, now);
        if (netcode_client_state(client) == NETCODE_CLIENT_STATE_CONNECTED) {
            if (!begun)
                begun = next = now;
            if (now - begun >= atof(arg[1]))
                netcode_client_disconnect(client);
            else if (now >= next) {
                netcode_client_send_packet(client, out, make(sent++, out));
                next += STEP;
            }
        }
        int size;
        uint64_t number;
        uint8_t *b;
        while ((b = netcode_client_receive_packet(client, &size, &number))) {
            received++;
            bad += !good(b, size);
            netcode_client_free_packet(client, b);
        }
        netcode_sleep(0.002);
    }
    printf("sent %" PRIu64 " received %" PRIu64 " bad %" PRIu64 "\n", sent, received, bad);
    netcode_client_destroy(client);
    return 0;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (netcode_init() != NETCODE_OK)
        return 1;
    if (argc == 6 && !strcmp(argv[1], "server"))
        return serve(argv + 2);
    if (argc == 4 && !strcmp(argv[1], "client"))
        return play(argv + 2);
    fprintf(stderr, "see the beginning of the source\n");
    return 2;
}
