"""Contents of the built-in chart: kinds of things and their clusters, words, fonts."""

from __future__ import annotations

from recipes.chart.scene import SHAPES

# Things that occur together, in each row from frequent to rare. The rows determine POPE's
# "adversarial" questions, and the order within them its "popular" ones.
CLUSTERS: dict[str, tuple[str, ...]] = {
    "air": ("bird", "airplane", "umbrella", "ball"),
    "farm": ("horse", "cow", "dog", "pig", "flower"),
    "desert": ("elephant", "cactus", "lion", "hat"),
    "pond": ("boat", "fish", "duck", "turtle"),
    "winter": ("penguin", "bear", "gift", "cup"),
    "road": ("car", "bus", "truck", "bicycle", "train"),
    "home": ("cat", "chair", "book", "lamp", "clock", "guitar", "key"),
    "meal": ("apple", "pizza", "cake", "banana", "bread", "burger", "carrot", "grapes"),
    "woods": ("tree", "mushroom", "rabbit", "frog"),
}

# The clusters that are frequent on a background.
HOMES: dict[str, tuple[str, ...]] = {
    "sky": ("air",),
    "grass": ("farm", "meal"),
    "sand": ("desert",),
    "water": ("pond",),
    "snow": ("winter",),
    "street": ("road",),
    "room": ("home", "meal"),
    "forest": ("woods",),
}

_GROUPS: dict[str, str] = {
    "animal": "dog cat horse cow pig rabbit bear lion elephant fish bird duck frog turtle penguin",
    "food": "apple banana pizza cake bread carrot burger grapes",
    "vehicle": "car bus bicycle boat airplane train truck",
    "plant": "tree flower cactus mushroom",
    "tool": "clock umbrella ball book key lamp chair guitar cup hat gift",
}
KINDS: dict[str, str] = {  # the 45 emoji nouns; shapes are in scene.SHAPES
    kind: group for group, kinds in _GROUPS.items() for kind in kinds.split()
}


def plural(kind: str) -> str:
    """The plural of a kind or shape: "bus" -> "buses", "fish" -> "fish"."""
    odd = {"fish": "fish", "grapes": "grapes", "bread": "bread", "cactus": "cacti"}
    if kind in odd:
        return odd[kind]
    return kind + ("es" if kind.endswith(("s", "x", "ch", "sh")) else "s")


def group_of(kind: str) -> str:
    """The group of any kind, "shape" for shapes; KeyError for an unknown kind."""
    return "shape" if kind in SHAPES else KINDS[kind]


# Colours of shapes that are hardly visible on a background.
HIDDEN_COLOURS: dict[str, tuple[str, ...]] = {
    "sky": ("blue", "white"),
    "grass": ("green",),
    "sand": ("yellow", "orange"),
    "water": ("blue",),
    "snow": ("white",),
    "street": ("black",),
    "room": ("orange", "white"),
    "forest": ("green", "black"),
    "paper": ("white", "yellow"),
}
HIDDEN_KINDS: dict[str, tuple[str, ...]] = {
    "forest": ("tree", "cactus"),
    "street": ("elephant",),
}
HIDDEN_AT_NIGHT = ("black",)

TRAIN_FONTS = (
    "LiberationSans-Bold.ttf",
    "LiberationSerif-Bold.ttf",
    "LiberationMono-Bold.ttf",
    "ComicNeue-Bold.otf",
    "RobotoSlab-Bold.otf",
    "Quicksand-Bold.ttf",
)
TEST_FONTS = ("Cantarell-Bold.otf", "Dosis-Bold.otf")  # only in test scenes

# Plate colour -> readable colours of letters on it.
PLATES: dict[str, tuple[str, ...]] = {
    "white": ("black", "red", "blue"),
    "yellow": ("black",),
    "blue": ("white", "yellow"),
    "green": ("white",),
    "red": ("white",),
    "black": ("white", "yellow"),
}

# Label on a form -> the kind of value that follows it.
TRAIN_LABELS: dict[str, str] = {
    "NAME": "word",
    "CITY": "word",
    "TOTAL": "number",
    "PRICE": "number",
    "DATE": "date",
    "ROOM": "number",
    "ITEM": "word",
}
TEST_LABELS: dict[str, str] = {"CODE": "word", "TAX": "number"}  # only in test scenes
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

TRAIN_WORDS: tuple[str, ...] = tuple(
    """
    ABLE ACID AGE AIR ALARM ALBUM ALLEY AMBER ANGLE ANKLE APRIL APRON ARCH AREA ARENA ARM ARMY ART
    ASH ATLAS ATOM AUNT AUTO AWARD BABY BACK BADGE BAG BAND BANK BAR BASE BASIL BASIN BATH BAY
    BEAM BEAN BED BEE BELT BIKE BIRTH BLADE BLOOM BOARD BODY BONE BOOT BOX BOY BRAIN BRASS BRIDE
    BRUSH BUD BULB BUYER CABLE CAFE CAGE CALM CAMEL CANAL CAP CARD CARGO CELL CENT CHAIN CHEF
    CHIEF CHILD CITY CLAY CLIFF CLOTH CLUB COACH COAL COAT CODE COMB COOK COPY CORK COURT COVER
    CRAB CRAFT CREAM CREW CROP CUBE CURVE DAILY DANCE DATE DEAL DECK DEER DELTA DENT DIAL DIARY
    DISH DOCK DOLL DOOR DRAFT DRAMA DRESS DRIVE DUST EAR EARTH EDGE EGG ELBOW ELM END ENTRY EQUAL
    EXIT EYE FACE FAIR FAITH FALL FARM FAST FENCE FERN FIELD FIG FILM FIRE FIRST FLAG FLOOR FLOUR
    FLUTE FOAM FOLD FOOD FOOT FORT FRAME FUEL FUN GAME GEM GHOST GIRL GLASS GLOVE GOAL GOAT GOLD
    GRAPH GRID GROUP GUARD GUIDE GULF GUM HAIL HAIR HALL HAND HAY HEAT HEDGE HELM HEN HERB HILL
    HOBBY HOLE HOME HOOK HOPE HORN HOUR HOUSE HUT IDEA INCH INDEX IRON IVORY IVY JAM JAR JEANS
    JEWEL JOB JOKE JUDGE JULY JUNE JURY KAYAK KEEP KIND KING KNEE KNOT LABEL LACE LADY LAMB LAND
    LARK LASER LAUGH LAW LAWN LEAF LEVEL LID LIGHT LINE LINK LIP LIST LOAF LOG LOOP LUCK MAID MAIL
    MAIN MALL MAP MAPLE MARCH MARK MAST MATCH MEAL MELON METAL MILE MILL MIX MODEL MONEY MONTH
    MOSS MOTH MOUSE MOVIE MUD MUG NAIL NAVY NECK NET NEWS NOISE NOSE NOTE NOVEL NUT OASIS OFFER
    OIL OLIVE ONION OPEN ORBIT ORDER OTTER OVEN PACK PAINT PAIR PALM PANEL PAPER PARTY PASTA PATH
    PEAK PEAR PEN PENNY PET PHOTO PINE PIPE PLAN PLATE PLAY PLAZA POEM POLE POOL PORCH POST POT
    POWER PRESS PRICE PRIDE PRINT PUMP QUEST QUIET QUILT RACE RADAR RAFT RAIL RANCH RAVEN RIBS
    RICE RIDE RING RISE ROAD ROAST ROBE ROBIN ROCK ROLE ROOT ROPE ROUTE ROYAL RUBY RUG RULE SAFE
    SAGE SALAD SALE SAUCE SCALE SCENE SEA SEAL SEAT SEED SHADE SHARK SHEEP SHELF SHIP SHIRT SHOP
    SHORE SHOW SIDE SINK SKI SKIN SLED SLOPE SMOKE SNAIL SOAP SOCK SOFA SOIL SOLAR SONG SOUTH
    SPACE SPOON SPORT SPOT STAGE STAIR STAMP STEAM STEEL STEM STEP STOP STORE STORY SUIT SUN SURF
    SWING TABLE TAIL TALE TANK TAPE TASK TAXI TEA TEAM TEXT TIDE TILE TIME TIRE TOAST TOOL TOOTH
    TOUR TOWEL TOWN TOY TRACK TRAY TRIP TUBE TUNA TWIN UNION UNIT VALUE VAN VEIL VERSE VEST VIEW
    VILLA VINE VOICE WAGON WALL WATCH WAX WEB WEEK WEST WHEAT WHEEL WIND WINE WING WIRE WOOD WOOL
    WORD WORK WORLD YARD YARN YEAR YOUTH ZERO ZONE ZOO
    """.split()  # noqa: SIM905 (450 quoted words would be unreadable)
)

TEST_WORDS: tuple[str, ...] = tuple(
    """
    AXE BAKER BARN BEACH BELL BENCH BLOCK BOLT BOWL BRICK CABIN CAMP CANDY CAVE CHALK CHESS CLOUD
    COAST COIN CORAL CORN CRANE CROWN DAWN DESK DOVE DREAM DRUM EAGLE EAST EVENT FABLE FERRY FLAME
    FOG FORK FOX FRUIT GATE GIANT GLOBE GOLF GRAIN GUEST HARP HAWK HERO HIVE HONEY HOTEL ICE INK
    ISLE JAZZ JET JUICE KITE KNIFE LAKE LANE LEMON LILY LIME LOCK LUNCH MAGIC MANGO MASK MEDAL
    MILK MINT MOON MUSIC NEST NORTH NURSE OAK OCEAN OPERA OWL PAGE PARK PEACH PEARL PIANO PILOT
    PLUM POET POND PORT PRIZE QUEEN RADIO RAIN REEF RIVER ROBOT ROOF ROSE SAIL SALT SCARF SHELL
    SILK SMILE SOUP SPICE STONE STORM SUGAR SWAN TENT TIGER TORCH TOWER TRAIL TUNE UNCLE VASE
    VISIT WAVE WHALE WOLF YACHT ZEBRA
    """.split()  # noqa: SIM905 (450 quoted words would be unreadable)
)
